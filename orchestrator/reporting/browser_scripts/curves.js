// Accuracy after each task of the chosen trials: student solid, teacher dashed, objective dotted.

const KINDS = {
  student: {type: "solid", text: "student, test"},
  teacher: {type: "dashed", text: "teacher, test"},
  curve: {type: "dotted", text: "objective so far"},
};
const NUM_COLOURS = 7;

const curvesChart = chartIn(
  "curves",
  (isNarrow) => ({
    tooltip: tooltip(taskLines, {trigger: "axis"}),
    grid: {left: 4, right: isNarrow ? 12 : 24, top: 16, bottom: 24, containLabel: true},
    xAxis: {
      type: "value",
      name: "tasks learned",
      nameLocation: "middle",
      nameGap: 28,
      min: 1,
      max: Math.max(2, ...curves().map(({points}) => points.length)),
      minInterval: 1,
      ...axisColours(),
      splitLine: {show: false},
    },
    yAxis: {
      type: "value",
      scale: true,
      ...axisColours((share) => `${Number((100 * share).toPrecision(8))} %`),
    },
    series: curves().map(({label, points, colour, kind}) => ({
      type: "line",
      name: label,
      data: points.map((value, place) => [place + 1, value]),
      symbol: "circle",
      symbolSize: 6,
      lineStyle: {color: colour, width: 2, type: KINDS[kind].type},
      itemStyle: {color: colour},
      emphasis: {disabled: true},
    })),
  }),
  (isNarrow) => isNarrow ? 280 : 380,
);

function axisColours(formatter) {
  return {
    nameTextStyle: {color: themed("muted")},
    axisLabel: {color: themed("ink"), fontSize: 12, ...(formatter ? {formatter} : {})},
    axisLine: {show: false},
    axisTick: {show: false},
    splitLine: {lineStyle: {color: themed("grid")}},
  };
}

function colourOf(order) {
  return themed(`series-${1 + (order % NUM_COLOURS)}`);
}

/** Return the curves to draw; a trial has its objective's where its accuracies are not known. */
function curves() {
  return selection.chosen.flatMap((place, order) => {
    const trial = data.trials[place];
    return Object.keys(KINDS).filter((kind) => trial[kind].length).map((kind) => ({
      kind,
      label: `trial ${trial.number}, ${KINDS[kind].text}`,
      points: trial[kind],
      colour: colourOf(order),
    }));
  });
}

function taskLines(hovered) {
  const ordered = hovered.toSorted((one, other) => other.value[1] - one.value[1]);
  const lines = ordered.map(({seriesName, value}) => `${percent(value[1])}  ${seriesName}`);
  return [`after task ${hovered[0]?.value[0] ?? ""}`, ...lines];
}

/** List the chosen trials with their colours, values and parameters. */
function writeLegend(section) {
  const rows = selection.chosen.map((place, order) => {
    const [head, ...rest] = trialLines(place);
    const key = element("span", {class: "key", style: `background:${colourOf(order)}`});
    const hide = element(
      "button",
      {type: "button", class: "plain", "aria-label": `Hide ${head}`, onclick: () => hideOne(place)},
      "×",
    );
    return element(
      "li", {}, key, element("b", {}, head), ` · ${rest.join(" · ")}${without(place)} `, hide);
  });
  const best = element(
    "button", {type: "button", onclick: () => selection.reset()}, "Show the best trials");
  section.querySelector(".legend").replaceChildren(
    element("ul", {class: "chosen"}, ...rows), ...(selection.isDefault ? [] : [best]));
}

function without(place) {
  const kinds = Object.keys(KINDS);
  return kinds.some((kind) => data.trials[place][kind].length) ? "" : " · no curve";
}

function hideOne(place) {
  if (selection.isDefault) selection.isDefault = false;
  selection.toggle(place);
}

if (curvesChart) {
  writeLegend(curvesChart.section);
  curvesChart.section.addEventListener("drawn", () => writeLegend(curvesChart.section));
  selection.listeners.push((change) => change === "chosen" && curvesChart.draw());
}
