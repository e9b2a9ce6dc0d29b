// Parallel coordinates: a line per trial; a stretch of an axis can be brushed, a line clicked.

const brushes = new Map(); // place of an axis → intervals of heights
const UNSET_HEIGHT = -0.08;
const BAND_PIXELS = 62;
const BRUSH_PIXELS = 22;
const MARGINS = {
  narrow: {left: 32, right: 26, top: 30, bottom: 34},
  wide: {left: 50, right: 70, top: 66, bottom: 16},
};

const parallelChart = chartIn(
  "parallel",
  (isNarrow) => ({
    tooltip: tooltip(({data: line}) => trialLines(line.place)),
    parallel: isNarrow ? {layout: "vertical", ...MARGINS.narrow} : MARGINS.wide,
    parallelAxis: data.axes.map((axis, place) => axisSettings(axis, place, isNarrow)),
    series: [{
      type: "parallel",
      progressive: 0,
      inactiveOpacity: 0.06,
      activeOpacity: 0.9,
      emphasis: {lineStyle: {width: 4, opacity: 1}},
      data: lines(),
    }],
  }),
  (isNarrow) => isNarrow ? 40 + BAND_PIXELS * data.axes.length : 440,
);

function axisSettings(axis, place, isNarrow) {
  const ticks = axis.unset ? [[UNSET_HEIGHT, axis.unset], ...axis.ticks] : axis.ticks;
  const heights = ticks.map(([height]) => height);
  const texts = new Map(ticks.map(([height, text]) => [height.toFixed(4), text]));
  const hasUnset = data.axes.some(({unset}) => unset);
  return {
    dim: place,
    id: `axis-${place}`,
    name: isNarrow ? axis.name : wrapped(axis.name),
    nameLocation: isNarrow ? "start" : "end",
    nameGap: isNarrow ? 0 : 14,
    nameTextStyle: {
      ...onLines(),
      fontSize: 12,
      lineHeight: 14,
      ...(isNarrow ? {align: "left", verticalAlign: "bottom", padding: [0, 0, 9, 0]} : {}),
    },
    type: "value",
    min: hasUnset ? -0.1 : 0,
    max: 1,
    splitLine: {show: false},
    axisLine: {lineStyle: {color: themed("ink")}},
    axisTick: {customValues: heights, lineStyle: {color: themed("ink")}},
    axisLabel: {
      customValues: heights,
      ...onLines(),
      fontSize: 11,
      hideOverlap: true,
      margin: 6,
      formatter: (height) => texts.get(height.toFixed(4)) ?? "",
    },
    areaSelectStyle: {
      width: BRUSH_PIXELS,
      color: themed("series-1"),
      borderColor: themed("series-1"),
      opacity: 0.25,
    },
  };
}

/** Return whether a click is meant for an axis, whose brush it clears, and not for a line. */
function isOnAxis({offsetX, offsetY}, place) {
  const isNarrow = place.clientWidth < NARROW_PIXELS;
  const {left, right, top, bottom} = isNarrow ? MARGINS.narrow : MARGINS.wide;
  const step = isNarrow
    ? (place.clientHeight - top - bottom) / (data.axes.length - 1)
    : (place.clientWidth - left - right) / (data.axes.length - 1);
  const along = isNarrow ? offsetY - top : offsetX - left;
  return Math.abs(along - step * Math.round(along / step)) <= BRUSH_PIXELS / 2;
}

/** Return the style of a text that lines run behind. */
function onLines() {
  return {color: themed("ink"), textBorderColor: themed("panel"), textBorderWidth: 3};
}

/** Return a name in lines of about 14 letters, broken after the signs that part words. */
function wrapped(name) {
  const made = [""];
  for (const word of name.match(/[^._/ ]*[._/ ]|[^._/ ]+/g) ?? []) {
    if (made.at(-1) && made.at(-1).length + word.length > 14) made.push("");
    made[made.length - 1] += word;
  }
  return made.join("\n");
}

/** Return the lines of the trials, the best one last, on top. */
function lines() {
  const colours = data.colours[isDark() ? "dark" : "light"];
  const opacity = Math.min(0.9, Math.max(0.35, 40 / data.trials.length));
  return data.trials.map((trial, place) => {
    const isChosen = selection.chosen.includes(place);
    const isFaint = selection.isFiltered[place];
    return {
      place,
      value: data.axes.map(({heights}) => heights[place] ?? UNSET_HEIGHT),
      lineStyle: {
        color: isFaint ? themed("grid") : colours[place] ?? themed("series-8"),
        width: isChosen ? 3.2 : trial.rank === null ? 0.8 : 1.4,
        opacity: isFaint ? 0.3 : isChosen ? 1 : opacity,
      },
    };
  }).reverse();
}

function applyBrushes() {
  const lies = (height, intervals) =>
    intervals.some(([low, high]) => low <= height && height <= high);
  selection.isBrushed = data.trials.map((_, place) =>
    [...brushes].some(([axis, intervals]) =>
      !lies(data.axes[axis].heights[place] ?? UNSET_HEIGHT, intervals)));
  selection.tell("brushed");
}

function clearBrushes() {
  for (const axis of [...brushes.keys()]) brush(axis, []);
}

function brush(axis, intervals) {
  parallelChart?.chart.dispatchAction(
    {type: "axisAreaSelect", parallelAxisId: `axis-${axis}`, intervals});
}

if (parallelChart) {
  const {chart, draw, section} = parallelChart;
  const place = section.querySelector(".drawn");
  chart.on("click", ({data: line, event}) => {
    if (line && !isOnAxis(event, place)) selection.toggle(line.place);
  });
  chart.on("axisareaselected", ({parallelAxisId, intervals}) => {
    const axis = Number(parallelAxisId.replace("axis-", ""));
    if (intervals.length) brushes.set(axis, intervals);
    else brushes.delete(axis);
    applyBrushes();
  });
  section.addEventListener("drawn", () => {
    for (const [axis, intervals] of [...brushes]) brush(axis, intervals);
  });
  selection.listeners.push((change) => change !== "brushed" && draw());
}
