// The leaderboard: sorted by a click on a heading, filtered by words and conditions.

const NUM_FIRST_ROWS = innerWidth < NARROW_PIXELS ? 10 : 20;
const leaderboard = document.getElementById("leaderboard");
const COLUMNS = [
  {name: "rank", values: data.trials.map(({rank}) => rank)},
  {name: "trial", values: data.trials.map(({number}) => number)},
  ...data.objectives,
  ...data.parameters,
  {name: "time", values: data.trials.map(({seconds}) => seconds)},
];
const CONDITION = /^(.+?)\s*(<=|>=|!=|<|>|=)\s*(.*)$/;
const COMPARISONS = {
  "<": (one, other) => one < other,
  ">": (one, other) => one > other,
  "<=": (one, other) => one <= other,
  ">=": (one, other) => one >= other,
  "=": (one, other) => one === other,
  "!=": (one, other) => one !== other,
};

if (leaderboard) enhance();

function enhance() {
  const table = leaderboard.querySelector("table");
  const body = table.tBodies[0];
  const folded = leaderboard.querySelector("details");
  if (folded) {
    body.append(...folded.querySelectorAll("tbody tr"));
    folded.remove();
  }
  const places = new Map(data.trials.map(({number}, place) => [number, place]));
  const rows = [...body.rows].map((row) => ({row, place: places.get(Number(row.dataset.trial))}));
  const view = {rows, body, column: 0, isRising: true, isWhole: false};
  nameCells(table, rows);
  rows.forEach(makeChoosable);
  addHeadings(table, view);
  addControls(view);
  selection.listeners.push(() => update(view));
  update(view);
}

/** Name each cell: on a narrow page a row is a paragraph, without the headings. */
function nameCells(table, rows) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  for (const {row} of rows) {
    [...row.cells].forEach((cell, place) => { cell.dataset.name = `${names[place]}: `; });
  }
}

function makeChoosable({row, place}) {
  const cell = row.querySelector("th");
  const button = element("button", {
    type: "button",
    class: "plain",
    title: "Show its curves",
    onclick: () => choose(place),
  }, cell.textContent.trim());
  cell.replaceChildren(button);
}

function choose(place) {
  selection.toggle(place);
  document.querySelector('[data-chart="curves"]')?.scrollIntoView({block: "nearest"});
}

function addHeadings(table, view) {
  [...table.tHead.rows[0].cells].slice(0, COLUMNS.length).forEach((cell, column) => {
    const button = element("button", {
      type: "button",
      class: "plain",
      onclick: () => sortBy(view, column, view.column === column ? !view.isRising : true),
    }, ...cell.childNodes);
    cell.replaceChildren(button);
  });
}

function sortBy(view, column, isRising) {
  Object.assign(view, {column, isRising});
  update(view);
}

function addControls(view) {
  const filter = element("input", {
    type: "search",
    "aria-label": "Filter",
    placeholder: `Filter, for example: ${exampleCondition()}`,
    oninput: () => applyFilter(view, filter.value),
  });
  const options = COLUMNS.flatMap(({name}, column) => [[name, column, true], [name, column, false]])
    .map(([name, column, isRising]) =>
      element("option", {value: `${column} ${isRising}`}, `${name} ${isRising ? "↑" : "↓"}`));
  const order = element("select", {
    "aria-label": "Sort by",
    onchange: () => {
      const [column, isRising] = order.value.split(" ");
      sortBy(view, Number(column), isRising === "true");
    },
  }, ...options);
  view.order = order;
  view.note = element("p", {class: "muted", role: "status"});
  view.problem = element("p", {class: "worse", role: "alert"});
  view.more = element("button", {type: "button", onclick: () => {
    view.isWhole = true;
    update(view);
  }});
  const clear = element("button", {type: "button", onclick: () => {
    filter.value = "";
    clearBrushes();
    applyFilter(view, "");
  }}, "Show all trials");
  view.clear = clear;
  const controls = element("div", {class: "controls"}, filter, order, clear);
  leaderboard.querySelector("h2").after(controls, view.problem, view.note);
  leaderboard.append(view.more);
}

function exampleCondition() {
  const {name = "objective", values = [90]} =
    data.parameters.find(({values: [first]}) => typeof first === "number") ?? {};
  return `${name} > ${shown(values[0])}`;
}

function applyFilter(view, text) {
  const problems = [];
  const tests = text.split(",").map((part) => part.trim()).filter(Boolean)
    .map((part) => testOf(part, problems));
  selection.isFiltered = data.trials.map((_, place) => tests.some((test) => !test(place)));
  view.problem.textContent = problems.join("; ");
  selection.tell("filtered");
}

/** Return whether a trial passes `temperature > 2`, or has a word in one of its values. */
function testOf(part, problems) {
  const [, name, sign, wanted] = part.match(CONDITION) ?? [];
  if (!sign) return (place) => COLUMNS.some(({values}) => hasWord(values[place], part));
  const column = columnNamed(name);
  if (!column) {
    problems.push(`no column “${name}”; there are ${COLUMNS.map((one) => one.name).join(", ")}`);
    return () => true;
  }
  if (!wanted) return () => true; // still being written
  const number = Number(wanted.replace("%", "")) / (column.factor ?? 1);
  return (place) => {
    const value = column.values[place];
    if (value === null) return false;
    if (typeof value === "number" && !Number.isNaN(number)) {
      return COMPARISONS[sign](value, number);
    }
    return COMPARISONS[sign](shown(value).toLowerCase(), wanted.toLowerCase());
  };
}

function columnNamed(name) {
  const wanted = name.trim().toLowerCase();
  return COLUMNS.find((column) => column.name.toLowerCase() === wanted || column.path === wanted)
    ?? COLUMNS.find(({name}) => name.toLowerCase().endsWith(`.${wanted}`));
}

function hasWord(value, word) {
  return value !== null && shown(value).toLowerCase().includes(word.toLowerCase());
}

/** Order two values; what is missing comes last, whatever the direction. */
function compared(one, other, isRising) {
  if (one === null || other === null) return (one === null) - (other === null);
  const isNumeric = typeof one === "number" && typeof other === "number";
  const order = isNumeric
    ? one - other
    : shown(one).localeCompare(shown(other), undefined, {numeric: true});
  return isRising ? order : -order;
}

function update(view) {
  const {values} = COLUMNS[view.column];
  const ordered = view.rows.toSorted((one, other) =>
    compared(values[one.place], values[other.place], view.isRising) || one.place - other.place);
  const shownRows = ordered.filter(({place}) => selection.isShown(place));
  const visible = new Set(view.isWhole ? shownRows : shownRows.slice(0, NUM_FIRST_ROWS));
  for (const one of ordered) {
    one.row.hidden = !visible.has(one);
    one.row.classList.toggle("chosen", selection.chosen.includes(one.place));
  }
  view.body.append(...ordered.map(({row}) => row));
  view.note.textContent = `${shownRows.length} of ${view.rows.length} finished trials`;
  view.clear.hidden = shownRows.length === view.rows.length;
  view.more.hidden = visible.size === shownRows.length;
  view.more.textContent = `Show all ${shownRows.length}`;
  view.order.value = `${view.column} ${view.isRising}`;
  markHeading(view);
}

function markHeading({body, column, isRising}) {
  [...body.parentElement.tHead.rows[0].cells].forEach((cell, place) => {
    if (place === column) cell.setAttribute("aria-sort", isRising ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  });
}
