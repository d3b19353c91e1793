// The module tree: of one process that stands for all that are built alike, and one domain of it, in one phase or all.

const ALL = "all phases";

/** The figures of one phase by row: `get(key, row)` is null where the row has no calls in it. */
function byRow(tree, figures) {
  const places = new Int32Array(tree.labels.length).fill(-1);
  figures.rows.forEach((row, at) => (places[row] = at));
  return { places, get: (key, row) => (places[row] < 0 ? null : figures[key][places[row]]) };
}

function domainWord(tree) {
  return tree.modules && tree.domain === "Module" ? "modules" : tree.domain;
}

/** The choices of phase tabs. */
function phaseChoices(figures) {
  const words = (one) => (one.all ? ALL : (one.phase ?? "no phase"));
  return figures.map((one, at) => ({ label: words(one), value: at, color: one.all ? null : `var(--${phaseToken(one.phase)})` }));
}

/** Steps of a phase, or of all, to divide by; null where that makes no sense. */
function stepsOf(figures) {
  if (data.steps.sort === "engine" && figures.all) return data.steps.of;
  if (data.steps.sort === "engine") return data.cards.find((card) => card.kind === figures.phase)?.steps ?? null;
  return data.steps.sort === "optimizer" ? data.steps.of : null;
}

class Modules {
  constructor() {
    this.section = section("modules", "Modules");
    this.group = this.domain = this.phase = 0;
    this.note = el("span", { class: "note" });
    this.section.querySelector(".head").append(this.note);
    this.bar = el("div", { class: "toolbar" });
    this.holder = el("div", { id: "modules-table" });
    this.inspector = el("div", { class: "inspector", hidden: true, role: "region", "aria-label": "The selected module" });
    this.section.append(this.bar, this.holder, this.inspector);
    const groups = data.groups.map((group) => {
      const others = group.members.length - 1;
      return data.processes[group.process].label + (others ? ` (and ${count(others)} alike)` : "");
    });
    this.groups = picker("Process", groups, (at) => this.choose(at, 0));
    this.search = search("Search path or class", (text) => this.table.filter(text));
    this.flat = toggle("flat", "A list instead of a tree", (on) => this.table.flat(on));
    this.each = toggle("per step", "Totals, self times and calls divided by the number of steps", () => this.table.refresh());
    this.choose(Math.max(0, data.groups.findIndex((group) => group.domains[0].modules)), 0);
  }

  get tree() {
    return data.groups[this.group].domains[this.domain];
  }

  get figures() {
    return this.tree.figures[this.phase];
  }

  /** Show another process or domain. */
  choose(group, domain) {
    const searched = this.search.value;
    this.group = group;
    this.domain = domain;
    this.phase = 0;
    this.groups.select.value = String(group);
    const domains = data.groups[group].domains.map((one) => ({ label: domainWord(one) }));
    const ofDomain = domains.length > 1 ? picker("Ranges", domains.map((one) => one.label), (at) => this.choose(this.group, at)) : null;
    if (ofDomain) ofDomain.select.value = String(domain);
    this.tabs = tabs("Phase", phaseChoices(this.tree.figures), (at) => this._phase(at), "modules-table");
    const folds = [["Unfold all", true], ["Fold all", false]].map(([text, open]) => el("button", { type: "button", text, on: { click: () => this.table.openAll(open) } }));
    this.bar.replaceChildren();
    this.bar.append(...(data.groups.length > 1 ? [this.groups.element] : []), ...(ofDomain ? [ofDomain.element] : []));
    if (this.tree.figures.length > 1) this.bar.append(this.tabs.element);
    this.bar.append(this.search, this.flat, this.each, ...folds, (this.shown = el("span", { class: "end", role: "status" })));
    this.inspector.hidden = true;
    this._take();
    this.holder.replaceChildren();
    const { parents, labels, paths, classes } = this.tree;
    this.table = new Table(this.holder, {
      label: "Modules",
      rows: labels.length,
      parent: parents,
      columns: this._columns(),
      search: (row) => `${paths[row]} ${classes[row]}`,
      present: (row) => this.rows.places[row] >= 0,
      onselect: (row) => this._inspect(row),
      onarrange: () => this._count(),
      empty: "no module matches",
    });
    if (this.flat.getAttribute("aria-pressed") === "true") this.table.flat(true);
    if (searched) this.table.filter(searched);
    this.tabs.choose(0);
  }

  /** Go to a row, whatever is folded or searched for. */
  show(group, domain, row) {
    if (group !== this.group || domain !== this.domain) this.choose(group, domain);
    this.search.value = "";
    this.table.words = [];
    this.tabs.choose(0);
    this.table.select(row);
    this.section.scrollIntoView({ block: "start" });
    this.table.table.focus({ preventScroll: true });
  }

  _phase(at) {
    this.phase = at;
    this._take();
    if (!this.table) return;
    this.table.refresh();
    if (this.table.active >= 0 && !this.inspector.hidden) this._inspect(this.table.active);
  }

  _take() {
    this.rows = byRow(this.tree, this.figures);
    this.whole = this.figures.self.reduce((sum, ns) => sum + ns, 0);
    this.strips = new Map(this.tree.numbers.map(([row, list], at) => [row, [this.tree.lists[list], at]]));
    const steps = stepsOf(this.figures);
    this.each.hidden = !steps;
    this.steps = steps ?? 1;
    const words = [this.tree.modules ? "time on the host, inside module calls" : `time on the host, in ranges of the domain ${cut(this.tree.domain, 40)}`];
    if (this.tree.left_out) words.push(`${count(this.tree.left_out)} light rows are not in this page`);
    if (data.without_tree.length) words.push(`${counted(data.without_tree.length, "process", "processes")} of other kinds have no tree in this page (report --process)`);
    this.note.textContent = words.join("; ");
  }

  _count() {
    if (!this.table) return;
    const many = this.tree.labels.length;
    this.shown.textContent = this.search.value ? `${count(this.table.matches)} of ${count(many)} match` : counted(many, "row");
  }

  _columns() {
    const get = (key, row) => this.rows.get(key, row);
    const by = () => (this.each.getAttribute("aria-pressed") === "true" && !this.each.hidden ? this.steps : 1);
    const over = (key, row) => (get(key, row) === null ? null : get(key, row) / by());
    const mean = (row) => (get("total", row) === null ? null : get("total", row) / get("calls", row));
    const share = (row) => (get("total", row) === null || !this.whole ? null : get("total", row) / this.whole);
    const time = (key, title, hint, width, value, drop) => ({ key, title, hint, kind: "number", width, drop, value, text: (row) => duration(value(row)), title_of: (row) => exact(value(row)) });
    const callsText = (row) => (over("calls", row) === null ? NOTHING : by() > 1 ? over("calls", row).toFixed(1) : count(get("calls", row)));
    const columns = [
      { key: "module", title: "Module", kind: "name", value: (row) => this.tree.paths[row], text: (row) => this.tree.labels[row], fill: (cell, row, tree) => cell.append(name(tree ? this.tree.labels[row] : this.tree.paths[row])) },
      { key: "class", title: "Class", kind: "text", width: "clamp(12ch, 13vw, 26ch)", drop: 1, value: (row) => this.tree.classes[row], text: (row) => this.tree.classes[row] },
      {
        key: "share", title: "Share", hint: "Total by the time inside ranges of this process, domain and phase", kind: "number", width: "9ch", value: share, text: (row) => percent(share(row)),
        fill: (cell, row) => {
          cell.classList.add("rated");
          cell.style.setProperty("--part", `${Math.min(100, 100 * (share(row) ?? 0))}%`);
          cell.append(percent(share(row)));
        },
      },
      time("total", "Total", "Time in all calls", "9.5ch", (row) => over("total", row)),
      time("self", "Self", "Time in the calls outside the modules that they called", "9.5ch", (row) => over("self", row)),
      { key: "calls", title: "Calls", kind: "number", width: "9ch", drop: 1, value: (row) => get("calls", row), text: callsText, title_of: (row) => count(get("calls", row)) },
      time("mean", "Mean", "Mean time of a call", "9.5ch", mean),
      time("p50", "p50", "Half of the calls took at most this long", "9.5ch", (row) => get("p50", row), 2),
      time("p99", "p99", "99 % of the calls took at most this long", "9.5ch", (row) => get("p99", row), 2),
      time("max", "Max", "The slowest call", "9.5ch", (row) => get("max", row), 3),
      { key: "layers", title: "By layer", hint: "Mean time of a call in each entry of the folded list", kind: "custom", width: "132px", drop: 2, value: (row) => this._spread(row), text: () => "", fill: (cell, row) => this._strip(cell, row) },
    ];
    // A column that would be empty is left out.
    return columns.filter((one) => (one.key !== "layers" || this.tree.numbers.length) && (one.key !== "class" || this.tree.modules));
  }

  _layers(row) {
    const found = this.strips.get(row);
    return found && this.figures.layers[found[1]] ? [found[0], this.figures.layers[found[1]]] : null;
  }

  /** What the column of layers is sorted by: how far the slowest entry stands out. */
  _spread(row) {
    const known = this._layers(row)?.[1].filter(Boolean);
    return known?.length ? chunkMaxima(known).reduce((a, b) => Math.max(a, b)) / median(known) : null;
  }

  _strip(cell, row) {
    const layers = this._layers(row);
    if (layers) layerCell(cell, ...layers);
  }

  /** All that is known of one row. */
  _inspect(row) {
    const { paths, classes, figures } = this.tree;
    const lines = figures.map((one) => [one, byRow(this.tree, one)]).filter(([, rows]) => rows.places[row] >= 0);
    const head = ["phase", "calls", "total", "self", "mean", "min", "p50", "p99", "max"];
    const body = lines.map(([one, rows]) => {
      const times = [rows.get("total", row), rows.get("self", row), rows.get("total", row) / rows.get("calls", row), ...["min", "p50", "p99", "max"].map((key) => rows.get(key, row))];
      const phase = one.all ? ALL : (one.phase ?? "no phase");
      return el("tr", {}, el("th", { scope: "row" }, one.all ? null : swatch(one.phase), name(phase, 40)), el("td", { text: count(rows.get("calls", row)) }), ...times.map((ns) => el("td", { text: duration(ns), title: exact(ns) })));
    });
    const table = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ...head.map((word) => el("th", { scope: "col", text: word })))), el("tbody", {}, ...body));
    const layers = this._layers(row);
    this.inspector.replaceChildren(
      el("div", { class: "path", tabindex: "0" }, el("bdi", { text: paths[row] })),
      el("div", { class: "class", tabindex: "0" }, name(classes[row], 4000)),
      el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Figures by phase" }, table),
    );
    if (layers) this.inspector.append(el("h3", { text: layerWords(...layers) }), layerChart(...layers));
    this.inspector.hidden = false;
  }
}
