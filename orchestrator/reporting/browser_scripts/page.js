// Share between the scripts of a page: its data, its colours, elements, and charts.

const data = JSON.parse(document.getElementById("page-data").textContent);
const columns = Object.entries(data.trials);
// The finished trials come first, the best one at their head.
data.trials = data.trials.number.map((_, place) => ({
  ...Object.fromEntries(columns.map(([name, values]) => [name, values[place]])),
  rank: place < data.numFinished ? place + 1 : null,
}));
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const NARROW_PIXELS = 600;

const isDark = () => darkScheme.matches;
const themed = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`.replace("-", "−");

/** Return a value as short as it stays exact enough to read. */
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  if (typeof value === "number") return String(Number(value.toPrecision(4)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return a duration as the rest of the page writes it. */
function duration(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Return an element. Texts come from users: they become text nodes, never HTML. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Return the settings of a tooltip whose lines are plain texts, the first one bold. */
function tooltip(linesOf, more = {}) {
  return {
    confine: true,
    transitionDuration: 0,
    backgroundColor: themed("panel"),
    borderColor: themed("grid"),
    textStyle: {color: themed("ink"), fontSize: 13},
    formatter: (hovered) => {
      const lines = linesOf(hovered);
      const rows = lines.map((text, place) =>
        element("div", place ? {} : {style: "font-weight:600"}, text));
      return element("div", {class: "tip"}, ...rows);
    },
    ...more,
  };
}

/** Return a chart in place of the static picture; it is drawn again when the page changes.

  optionOf(isNarrow) gives the chart's settings, heightOf(isNarrow) its height in pixels. */
function chartIn(name, optionOf, heightOf) {
  const section = document.querySelector(`[data-chart="${name}"]`);
  if (!section) return null;
  const place = section.querySelector(".drawn");
  section.classList.add("interactive");
  const chart = echarts.init(place, null, {renderer: "svg", height: heightOf(false)});
  let width = 0;
  const draw = () => {
    const isNarrow = place.clientWidth < NARROW_PIXELS;
    chart.resize({width: place.clientWidth, height: heightOf(isNarrow)});
    chart.setOption({animation: false, ...optionOf(isNarrow)}, {notMerge: true});
    section.dispatchEvent(new Event("drawn"));
  };
  new ResizeObserver(() => {
    if (place.clientWidth && place.clientWidth !== width) {
      width = place.clientWidth;
      draw();
    }
  }).observe(place);
  darkScheme.addEventListener("change", draw);
  try {
    draw();
  } catch (error) {
    section.classList.remove("interactive"); // the static picture stays
    throw error;
  }
  return {chart, draw, section};
}
