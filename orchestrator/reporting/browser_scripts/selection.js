// Keep which trials are chosen, and which ones filter and brushes let through, for all views.

const selection = {
  chosen: bestTrials(),
  isDefault: true, // the best trials, until the user chooses
  isFiltered: new Array(data.trials.length).fill(false),
  isBrushed: new Array(data.trials.length).fill(false),
  listeners: [],

  tell(change) {
    this.listeners.forEach((listener) => listener(change));
  },

  /** Add a trial by its place, or remove it; the first choice replaces the default one. */
  toggle(place) {
    if (this.isDefault) this.chosen = [place];
    else if (this.chosen.includes(place)) this.chosen = this.chosen.filter((it) => it !== place);
    else this.chosen = [...this.chosen, place];
    this.isDefault = false;
    this.tell("chosen");
  },

  reset() {
    this.chosen = bestTrials();
    this.isDefault = true;
    this.tell("chosen");
  },

  isShown(place) {
    return !this.isFiltered[place] && !this.isBrushed[place];
  },
};

function bestTrials() {
  return [...data.trials.keys()].slice(0, Math.min(data.numBest, data.numFinished));
}

/** Return what a trial is and cost, in lines. */
function trialLines(place) {
  const trial = data.trials[place];
  const results = data.objectives.map(({name, texts}) => `${name} ${texts[place]}`);
  const result = trial.rank === null ? trial.status : results.join(", ");
  const parameters = data.parameters
    .filter(({values}) => values[place] !== null)
    .map(({name, values}) => `${name}: ${shown(values[place])}`);
  return [`trial ${trial.number}: ${result}`, ...parameters, costText(trial)];
}

function costText({seconds, computed, reused}) {
  return `${duration(seconds)}: computed ${computed} stages, reused ${reused}`;
}
