// The Pareto front: the first objective over another one; a point per trial, which can be clicked.

const frontView = {across: 1}; // place of the objective of the horizontal axis

const frontChart = chartIn(
  "front",
  (isNarrow) => ({
    tooltip: tooltip(({data: point}) => trialLines(point.place)),
    grid: {left: 8, right: isNarrow ? 16 : 28, top: 34, bottom: 26, containLabel: true},
    xAxis: frontAxis(data.objectives[frontView.across], {nameLocation: "middle", nameGap: 30}),
    yAxis: frontAxis(data.objectives[0], {nameTextStyle: {color: themed("muted"), align: "left"}}),
    series: [frontLine(), {type: "scatter", data: frontPoints()}],
  }),
  (isNarrow) => isNarrow ? 320 : 400,
);

function frontAxis({name, unit}, more) {
  return {
    type: "value",
    scale: true,
    name: unit ? `${name} in ${unit}` : name,
    ...axisColours((value) => String(Number(value.toPrecision(6)))),
    ...more,
  };
}

function frontPlace(place) {
  return [frontView.across, 0].map((objective) => {
    const {values, factor} = data.objectives[objective];
    return factor * values[place];
  });
}

function frontPoints() {
  return [...data.trials.keys()].slice(0, data.numFinished).map((place) => {
    const {front, number} = data.trials[place];
    const isChosen = number === data.best;
    return {
      place,
      value: frontPlace(place),
      symbolSize: isChosen ? 16 : front ? 11 : 7,
      itemStyle: {
        color: themed(isChosen ? "series-2" : front ? "series-1" : "series-8"),
        opacity: selection.isShown(place) ? 1 : 0.15,
        borderColor: themed("ink"),
        borderWidth: selection.chosen.includes(place) ? 1.5 : 0,
      },
    };
  });
}

/** Return the line that joins the front of two objectives; of more it would join no front. */
function frontLine() {
  const places = [...data.trials.keys()].filter((place) => data.trials[place].front);
  const points = data.objectives.length === 2 ? places.map(frontPlace) : [];
  return {
    type: "line",
    data: points.sort(([one], [other]) => one - other),
    symbol: "none",
    silent: true,
    lineStyle: {color: themed("series-1"), width: 1.5, type: "dashed"},
  };
}

if (frontChart) {
  const {chart, draw, section} = frontChart;
  chart.on("click", ({data: point}) => selection.toggle(point.place));
  selection.listeners.push(draw);
  if (data.objectives.length > 2) {
    const options = data.objectives.slice(1).map(({name}, place) =>
      element("option", {value: place + 1}, name));
    const choice = element("select", {
      "aria-label": "Objective of the horizontal axis",
      onchange: () => {
        frontView.across = Number(choice.value);
        draw();
      },
    }, ...options);
    section.querySelector("figure").before(element("div", {class: "controls"}, choice));
  }
}
