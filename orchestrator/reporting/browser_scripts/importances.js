// Bars of the parameters' importances, with their 90 % intervals.

const importanceRows = data.importances.toReversed(); // counted from below

chartIn(
  "importances",
  (isNarrow) => ({
    tooltip: tooltip(({dataIndex}) => importanceLines(importanceRows[dataIndex])),
    grid: {left: 4, right: 16, top: 4, bottom: 24, containLabel: true},
    xAxis: {
      type: "value",
      min: 0,
      max: Math.max(...importanceRows.map(({high}) => high)),
      ...axisColours((share) => `${Math.round(100 * share)} %`),
      splitNumber: isNarrow ? 3 : 6,
    },
    yAxis: {
      type: "category",
      data: importanceRows.map(({name}) => isNarrow ? wrapped(name) : name),
      ...axisColours(),
    },
    series: [{
      type: "custom",
      encode: {x: [1, 2, 3], y: 0},
      data: importanceRows.map(({share, low, high}, place) => [place, share, low, high]),
      renderItem: importanceBar,
    }],
  }),
  (isNarrow) => 40 + (isNarrow ? 44 : 34) * importanceRows.length,
);

function importanceLines({name, share, low, high}) {
  return [`${name}: ${percent(share)}`, `90 % interval: ${percent(low)} to ${percent(high)}`];
}

function importanceBar(_, api) {
  const [place, share, low, high] = [0, 1, 2, 3].map((dimension) => api.value(dimension));
  const [x, y] = api.coord([share, place]);
  const start = api.coord([0, place])[0];
  const [from, to] = [low, high].map((end) => api.coord([end, place])[0]);
  const stroke = {stroke: themed("muted"), lineWidth: 1.5};
  const line = (x1, y1, x2, y2) => ({type: "line", shape: {x1, y1, x2, y2}, style: stroke});
  return {
    type: "group",
    children: [
      {
        type: "rect",
        shape: {x: start, y: y - 9, width: x - start, height: 18, r: 2},
        style: {fill: themed("series-1")},
      },
      line(from, y, to, y),
      line(from, y - 4, from, y + 4),
      line(to, y - 4, to, y + 4),
    ],
  };
}
