// Processes that are built alike, side by side: which is slow, and in which module.

class Ranks {
  constructor(places) {
    this.places = places; // [group, domain] of each comparison
    this.section = section("ranks", "Ranks");
    this.note = el("span", { class: "note" });
    this.section.querySelector(".head").append(this.note);
    this.bar = el("div", { class: "toolbar" });
    this.holder = el("div", { id: "ranks-table" });
    this.strip = el("div", { class: "strip" });
    this.section.append(this.bar, this.strip, this.holder);
    this.search = search("Search path or class", (text) => this.table.filter(text));
    this.compare(0);
  }

  get tree() {
    const [group, domain] = this.places[this.at];
    return data.groups[group].domains[domain];
  }

  get figures() {
    return this.tree.ranks.figures[this.phase];
  }

  get members() {
    return this.tree.ranks.members;
  }

  /** Go to the process and the row of a finding; false where it is not compared here. */
  show({ place: [group, domain, row], process }) {
    const name = data.groups[group].domains[domain].domain;
    const at = this.places.findIndex(([of, its]) => {
      const tree = data.groups[of].domains[its];
      return tree.domain === name && tree.ranks.members.includes(process);
    });
    if (at < 0) return false;
    if (at !== this.at) this.compare(at);
    this.choose(this.members.indexOf(process));
    this.table.select(row);
    this.section.scrollIntoView({ block: "start" });
    this.table.table.focus({ preventScroll: true });
    return true;
  }

  /** Show the processes that are alike in one place. */
  compare(at) {
    this.at = at;
    this.phase = 0;
    this.rank = 0;
    this._take();
    const words = this.places.map(([group, domain]) => {
      const { process, domains } = data.groups[group];
      const { ranks } = domains[domain];
      return `${count(ranks.members.length)} like ${data.processes[process].label}: ${domainWord(domains[domain])}`;
    });
    const alike = picker("Compare", words, (next) => this.compare(next));
    alike.select.value = String(at);
    this.picked = picker("Rank", this.members.map((one) => data.processes[one].label), (next) => this.choose(next));
    this.bar.replaceChildren(...(words.length > 1 ? [alike.element] : []));
    const figures = this.tree.ranks.figures;
    if (figures.length > 1) this.bar.append(tabs("Phase of the comparison", phaseChoices(figures), (next) => this._phase(next), "ranks-table").element);
    this.bar.append(this.picked.element, this.search);
    this._bars();
    this.holder.replaceChildren();
    const { parents, labels, paths, classes } = this.tree;
    this.table = new Table(this.holder, {
      label: "Modules over ranks",
      rows: labels.length,
      parent: parents,
      columns: this._columns(),
      search: (row) => `${paths[row]} ${classes[row]}`,
      present: (row) => this.rows.places[row] >= 0,
      empty: "no module matches",
    });
    this.choose(this._slowest());
  }

  /** Put one rank beside the others. */
  choose(rank) {
    this.rank = rank;
    this.picked.select.value = String(rank);
    const top = this._top();
    const mean = this._mean(top, rank);
    const words = `${data.processes[this.members[rank]].label}: ${duration(mean)} a call of ${this.tree.paths[top]}`;
    this.slider.setAttribute("aria-valuenow", String(rank + 1));
    this.slider.setAttribute("aria-valuetext", cut(words, 200));
    this.chart.redraw();
    this.table.refresh();
  }

  _take() {
    this.rows = byRow(this.tree, this.figures);
    const top = this._top();
    const worst = this.rows.get("worst", top);
    const times = ratio(this.rows.get("max", top) / this._usual(top));
    const slow = `slowest in ${cut(this.tree.paths[top], 60)}: ${data.processes[this.members[worst]].label}, ${duration(this.rows.get("max", top))} a call, ${times} the ${this.usual}`;
    this.note.textContent = `${count(this.members.length)} processes built alike; ${slow}`;
  }

  _phase(at) {
    if (at === this.phase) return;
    this.phase = at;
    this._take();
    this.table.refresh();
    this.choose(this.rank);
  }

  /** What the others take: of two the shorter. */
  get usual() {
    return this.members.length === 2 ? "other" : "median";
  }

  _usual(row) {
    return this.rows.get(this.members.length === 2 ? "min" : "median", row);
  }

  /** The row that stands for the whole: the outermost with the most time. */
  _top() {
    const { parents } = this.tree;
    let found = this.figures.rows[0];
    for (const row of this.figures.rows) if (parents[row] < 0 && this.rows.get("median", row) > this.rows.get("median", found)) found = row;
    return found;
  }

  _slowest() {
    return this.rows.get("worst", this._top());
  }

  /** Mean of one rank; null where the page does not have it. */
  _mean(row, rank) {
    if (this.rows.places[row] < 0) return null;
    const means = this.rows.get("means", row);
    if (means) return means[rank];
    if (this.rows.get("worst", row) === rank) return this.rows.get("max", row);
    return this.rows.get("least", row) === rank ? this.rows.get("min", row) : null;
  }

  _bars() {
    this.chart = chart(
      () => 64,
      (context, width, height) => {
        const top = this._top();
        const means = this.members.map((_, rank) => this._mean(top, rank) ?? 0);
        const most = chunkMaxima(means).reduce((a, b) => Math.max(a, b));
        const middle = this._usual(top);
        const step = Math.min(36, width / means.length);
        this.step = step;
        means.forEach((mean, rank) => {
          const tall = most ? Math.max(1, (mean / most) * (height - 8)) : 0;
          context.fillStyle = color(heat(mean / middle));
          context.fillRect(rank * step, height - 5 - tall, Math.max(1, step - (step > 3 ? 1 : 0)), tall);
          if (rank !== this.rank) return;
          context.fillStyle = color("ink");
          context.fillRect(rank * step - 1, height - 3, Math.max(2, step), 3);
        });
      },
    );
    const { canvas } = this.chart;
    this.slider = el("div", { tabindex: "0", role: "slider", "aria-label": "Rank", "aria-valuemin": 1, "aria-valuemax": this.members.length }, canvas);
    this.strip.replaceChildren(this.slider);
    const under = (event) => Math.min(this.members.length - 1, Math.floor(event.offsetX / this.step));
    canvas.addEventListener("click", (event) => this.choose(under(event)));
    canvas.addEventListener("mousemove", (event) => showTip(event, [data.processes[this.members[under(event)]].label, `${duration(this._mean(this._top(), under(event)))} a call`]));
    canvas.addEventListener("mouseleave", hideTip);
    this.slider.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.choose(Math.max(0, Math.min(this.members.length - 1, this.rank + steps[event.key])));
    });
  }

  _columns() {
    const get = (key, row) => this.rows.get(key, row);
    const mine = (row) => this._mean(row, this.rank);
    const apart = (row) => (mine(row) === null || !this._usual(row) ? null : mine(row) / this._usual(row));
    const spread = (row) => (this._usual(row) ? get("max", row) / this._usual(row) : null);
    const word = this.usual === "other" ? "min" : "median";
    const time = (key, title, hint, value, drop) => ({ key, title, hint, kind: "number", width: "11ch", drop, value, text: (row) => duration(value(row)), title_of: (row) => exact(value(row)) });
    const worst = (row) => (get("worst", row) === null ? "" : rankWord(data.processes[this.members[get("worst", row)]]));
    return [
      { key: "module", title: "Module", kind: "name", value: (row) => this.tree.paths[row], text: (row) => this.tree.labels[row] },
      time("min", "Min", "Mean of a call in the fastest rank", (row) => get("min", row), 1),
      time("median", "Median", "Mean of a call in the middle rank", (row) => get("median", row)),
      time("max", "Max", "Mean of a call in the slowest rank", (row) => get("max", row)),
      { key: "spread", title: `Max / ${word}`, hint: "How far the slowest rank stands out", kind: "number", width: "15ch", value: spread, text: (row) => ratio(spread(row)) },
      { key: "worst", title: "Slowest", kind: "text", width: "16ch", drop: 2, value: (row) => get("worst", row), text: worst, title_of: (row) => (get("worst", row) === null ? "" : data.processes[this.members[get("worst", row)]].label) },
      { ...time("mine", "Chosen rank", "Mean of a call in the rank that is chosen above", mine), width: "14ch" },
      { key: "apart", title: `Chosen / ${word}`, hint: "The chosen rank by the others", kind: "number", width: "17ch", value: apart, text: (row) => ratio(apart(row)) },
    ];
  }
}

/** "rank 3", where there is one. */
function rankWord(process) {
  return process.rank === null ? process.label : `rank ${process.rank}`;
}

function drawRanks() {
  const places = data.groups.flatMap((group, at) => group.domains.flatMap((domain, of) => (domain.ranks ? [[at, of]] : [])));
  return places.length ? new Ranks(places) : null;
}
