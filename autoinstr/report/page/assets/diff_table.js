// The modules of both runs, as a tree of one role, domain and phase, or all of them as a list.

const WIDTH = 150; // of the picture of an interval
const WIDEST = Math.log(4); // what it shows at the most, to either side
const rows = data.rows;

/** The picture of one interval: no change in the middle, slower to the right. `most` is the logarithm at its ends. */
function paintInterval(context, width, height, row, most) {
  const x = (value) => width / 2 + (Math.max(-1, Math.min(1, Math.log(value) / most)) * (width - 8)) / 2;
  context.fillStyle = color("strong");
  context.fillRect(width / 2, 0, 1, height);
  if (rows.ratio[row] === null) return;
  const shade = color({ slower: "bad", faster: "good" }[rows.change[row]] ?? "muted");
  context.fillStyle = shade;
  if (interval(rows, row)) {
    context.globalAlpha = 0.35;
    context.fillRect(x(rows.low[row]), height / 2 - 3, Math.max(1, x(rows.high[row]) - x(rows.low[row])), 6);
    context.globalAlpha = 1;
  }
  context.fillRect(x(rows.ratio[row]) - 1.5, height / 2 - 6, 3, 12);
}

class Differences {
  constructor() {
    this.section = section("modules", "Modules", (this.note = el("span", { class: "note" })));
    this.parts = this._parts();
    this.part = 0;
    this.changed = false;
    const choices = this.parts.map((part) => [part.role, part.domain, part.phase ?? (this.parts.some((one) => one.phase) ? "no phase" : null)].filter(Boolean).join(" · "));
    this.picker = picker("Of", choices, (at) => this._choose(at));
    this.search = search("Search path or class", (text) => this.table.filter(text));
    this.flat = toggle("flat", "A list instead of a tree", (on) => this.table.flat(on));
    const only = toggle("only what changed", "Leave out what shows no difference", (on) => {
      this.changed = on;
      this.table.refresh();
    });
    const folds = [["Unfold all", true], ["Fold all", false]].map(([text, open]) => el("button", { type: "button", text, on: { click: () => this.table.openAll(open) } }));
    this.shown = el("span", { class: "end", role: "status" });
    const bar = el("div", { class: "toolbar" }, this.parts.length > 1 ? this.picker.element : null, this.search, this.flat, only, ...folds, this.shown);
    this.holder = el("div", { id: "modules-table" });
    this.inspector = el("div", { class: "inspector", hidden: true, role: "region", "aria-label": "The selected module" });
    this.section.append(bar, this.holder, this.inspector);
    this.note.textContent = data.left_out ? `the ${count(data.left_out)} smallest differences are not in this page` : "time on the host";
    this._choose(0);
  }

  /** Rows of one role, domain and phase follow one another: where each begins and how many there are, the largest difference first. */
  _parts() {
    const found = [];
    for (let row = 0; row < rows.count; row++) {
      const last = found[found.length - 1];
      const [role, domain, phase] = [rows.role[row], rows.domain[row], rows.phase[row]];
      if (last && last.role === role && last.domain === domain && last.phase === phase) last.rows++;
      else found.push({ role, domain, phase, first: row, rows: 1 });
    }
    return found;
  }

  _choose(at) {
    this.part = at;
    this.picker.select.value = String(at);
    const { first, rows: many } = this.parts[at];
    this.first = first;
    const parents = Array.from({ length: many }, (_, row) => (rows.parent[first + row] < 0 ? -1 : rows.parent[first + row] - first));
    let widest = 0.01;
    for (let row = first; row < first + many; row++) for (const value of [rows.low[row], rows.high[row]]) if (value && rows.change[row] !== "untold") widest = Math.max(widest, Math.abs(Math.log(value)));
    this.most = Math.min(WIDEST, widest);
    this.inspector.hidden = true;
    this.holder.replaceChildren();
    this.table = new Table(this.holder, {
      label: "Modules of both runs",
      rows: many,
      parent: parents,
      columns: this._columns(parents),
      search: (row) => [rows.path[first + row], ...this._both("class", row)].join(" "),
      present: (row) => !this.changed || !["alike", "untold"].includes(rows.change[first + row]),
      sort: { key: "difference", descending: true },
      onselect: (row) => this._inspect(row),
      onarrange: () => this._count(),
      empty: "no module matches",
    });
    if (this.flat.getAttribute("aria-pressed") === "true") this.table.flat(true);
    if (this.search.value) this.table.filter(this.search.value);
  }

  /** Go to a row of all, whatever is folded or searched for. */
  show(row) {
    const at = this.parts.findIndex((part) => row >= part.first && row < part.first + part.rows);
    this.search.value = "";
    this._choose(at);
    this.table.select(row - this.first);
    this.section.scrollIntoView({ block: "start" });
    this.table.table.focus({ preventScroll: true });
  }

  _both(key, row) {
    return SIDES.map(([side]) => rows[side][key]?.[this.first + row] ?? null);
  }

  _label(row, parents) {
    const above = parents[row] >= 0 ? rows.path[this.first + parents[row]] : "";
    const path = rows.path[this.first + row];
    return above && path.startsWith(`${above}.`) ? path.slice(above.length + 1) : path;
  }

  _columns(parents) {
    const get = (key) => (row) => rows[key][this.first + row];
    const figure = (key, title, hint, width, text, drop) => ({ key, title, hint, kind: "number", width, drop, value: get(key), text: (row) => text(get(key)(row)) });
    const ofSide = (side, word, key, title, hint, width, text, drop) => {
      const value = (row) => rows[side][key]?.[this.first + row] ?? null;
      return { key: `${key}_${side}`, title: `${title} ${word}`, hint, kind: "number", width, drop, value, text: (row) => text(value(row)) };
    };
    const pair = (...more) => SIDES.map(([side, word]) => ofSide(side, word, ...more));
    const size = (row) => Math.abs(rows.difference_ns[this.first + row]);
    return [
      { key: "module", title: "Module", kind: "name", value: get("path"), text: get("path"), fill: (cell, row, tree) => cell.append(name(tree ? this._label(row, parents) : get("path")(row))) },
      ...pair("step_ns", "Step", "Median time in a step", "10ch", duration),
      figure("ratio", "Change", "A typical step of B against one of A", "10ch", change),
      { key: "low", title: "95 % interval", hint: "The middle is no change, slower is to the right", kind: "custom", width: `${WIDTH + 18}px`, drop: 1, value: get("low"), text: () => "", fill: (cell, row) => this._picture(cell, row) },
      { key: "said", title: "Said", hint: "What can be said", kind: "text", width: "18ch", value: (row) => said(rows, this.first + row), text: (row) => said(rows, this.first + row), fill: (cell, row) => cell.append(el("span", { class: tone(rows, this.first + row), text: said(rows, this.first + row) })) },
      { key: "difference", title: "Difference", hint: "Step B less step A, times the steps: sorted by its size", kind: "number", width: "11ch", value: size, text: (row) => signed(rows.difference_ns[this.first + row]) },
      figure("ratio_per_call", "Call", "The median call of B against that of A", "10ch", change, 2),
      ...pair("calls", "Calls", "All calls", "9ch", count, 3),
      ...pair("total_ns", "Total", "Time in all calls of all processes", "10ch", duration, 3),
    ];
  }

  _picture(cell, row) {
    const words = interval(rows, this.first + row);
    if (rows.ratio[this.first + row] === null) return;
    const canvas = el("canvas", { role: "img", "aria-label": words || "no interval" });
    canvas.style.width = `${WIDTH}px`;
    paint(canvas, WIDTH, 18, (context, width, height) => paintInterval(context, width, height, this.first + row, this.most));
    cell.title = words;
    cell.append(canvas);
  }

  _count() {
    if (!this.table) return;
    const { rows: many } = this.parts[this.part];
    const part = this.search.value || this.changed;
    this.shown.textContent = part ? `${count(this.table.matches)} of ${count(many)} shown` : counted(many, "row");
  }

  /** All that is known of one row. */
  _inspect(row) {
    const at = this.first + row;
    const figures = [
      ["path", (text) => text], ["class", (text) => text], ["calls", count], ["total_ns", duration], ["self_ns", duration], ["mean_ns", duration], ["p50_ns", duration],
      ["step_ns", duration], ["steps", count], ["share", percent],
    ];
    const titles = { path: "Path", class: "Class", calls: "Calls", total_ns: "Total", self_ns: "Self", mean_ns: "Mean call", p50_ns: "Median call", step_ns: "Step", steps: "Steps that it ran in", share: "Share" };
    const lines = figures.map(([key, words]) => el("tr", {}, el("th", { scope: "row", text: titles[key] }), ...this._both(key, row).map((value) => el("td", {}, name(value === null || value === "" ? NOTHING : words(value), 200)))));
    const head = ["figure", "A", "B"].map((text) => el("th", { scope: "col", text }));
    const words = [said(rows, at), rows.ratio[at] === null ? null : `${change(rows.ratio[at])} a step`, interval(rows, at) && `95 % interval ${interval(rows, at)}`, rows.p[at] === null ? null : `p ${rows.p[at].toPrecision(2)}`];
    const near = rows.near[at];
    this.inspector.replaceChildren(
      el("div", { class: "path", tabindex: "0" }, el("bdi", { text: rows.path[at] })),
      el("div", { class: tone(rows, at), text: words.filter(Boolean).join(", ") }),
      near === null ? "" : el("div", { class: "class" }, "may be ", name(rows.path[near]), " of the other run: not compared"),
      el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Figures of both runs" }, el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines))),
    );
    this.inspector.hidden = false;
  }
}
