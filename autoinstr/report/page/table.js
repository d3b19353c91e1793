// A table of any length: only the rows in sight are elements. With parents it is a tree: rows fold, a search keeps what is above a match,
// and sorting orders the rows below each. The focus stays on the table itself, which names its active row: rows come and go.

const ROW = 26; // height of a row in CSS pixels; the stylesheet has the same
const BEYOND = 12; // rows kept on either side of those in sight
let tables = 0;

class Table {
  /**
   * `options`: label (for a reader of the screen), rows (how many), columns, and where wanted parent (an array: -1 for none), search(i),
   * present(i), sort ({key, descending}), onselect(i), foldAt (rows shown before the tree begins folded), empty (words).
   * A column: key, title, hint, kind ("name", "text", "number", "custom"), width, value(i) to sort by, text(i), title_of(i), fill(td, i), drop (1 to 3:
   * how narrow the page may be before it goes).
   */
  constructor(host, options) {
    this.id = `table${++tables}`;
    this.options = { foldAt: 60, empty: "nothing here", ...options };
    this.columns = options.columns;
    this.sort = options.sort ?? null;
    this.words = [];
    this.isFlat = false;
    this.active = -1; // the row that is selected
    this.order = []; // rows as they are shown
    this.shown = new Map(); // row -> its element
    this.closed = new Uint8Array(this.options.rows);
    this.kids = null;
    this._build(host);
    this._tree();
    this.refresh();
  }

  get tree() {
    return Boolean(this.options.parent) && !this.isFlat;
  }

  // -- what is shown -----------------------------------------------------------------------------------------------------------------

  /** Other rows in the same columns. */
  reset(rows, parent = null) {
    this.options.rows = rows;
    this.options.parent = parent;
    this.closed = new Uint8Array(rows);
    this.active = -1;
    this._tree();
    this.refresh();
  }

  /** Show only what matches every word, and what is above it. */
  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.refresh();
    this.scroller.scrollTop = 0;
    this._draw();
  }

  /** A list instead of a tree. */
  flat(on) {
    this.isFlat = on;
    this.refresh();
  }

  /** Unfold everything, or fold it. */
  openAll(open) {
    for (let at = 0; at < this.options.rows; at++) this.closed[at] = open || !this.kids[at] ? 0 : 1;
    this.refresh();
  }

  /** Unfold, select and bring into sight. */
  select(row, announce = true) {
    for (let at = row; this.tree && at >= 0; at = this.options.parent[at]) if (at !== row) this.closed[at] = 0;
    this.active = row;
    this.refresh();
    this._reveal(this.order.indexOf(row));
    if (announce) this.options.onselect?.(row);
  }

  /** Everything anew: after a change of what rows say, of the order or of the filter. */
  refresh() {
    this._arrange();
    this.table.setAttribute("aria-rowcount", String(this.order.length + 1));
    this.empty.hidden = this.order.length > 0;
    this.shown.clear();
    this.body.replaceChildren(this.above, this.below);
    this._headings();
    this._draw();
    this.options.onarrange?.(this.order.length);
  }

  _tree() {
    const { rows, parent, foldAt } = this.options;
    this.kids = null;
    this.depth = new Uint16Array(rows);
    if (!parent) return;
    this.roots = [];
    this.kids = Array.from({ length: rows }, () => null);
    for (let row = 0; row < rows; row++) {
      const above = parent[row];
      if (above < 0) this.roots.push(row);
      else {
        (this.kids[above] ??= []).push(row);
        this.depth[row] = this.depth[above] + 1;
      }
    }
    // A large tree begins folded from the depth at which it would no longer fit a screen.
    const depths = [];
    for (let row = 0; row < rows; row++) depths[this.depth[row]] = (depths[this.depth[row]] ?? 0) + 1;
    let deepest = 0;
    for (let sum = depths[0] ?? 0; deepest + 1 < depths.length && sum + depths[deepest + 1] <= foldAt; ) sum += depths[++deepest];
    for (let row = 0; row < rows; row++) this.closed[row] = this.kids[row] && this.depth[row] >= Math.max(1, deepest) && rows > foldAt ? 1 : 0;
  }

  _arrange() {
    const { rows, parent, present, search } = this.options;
    const searching = this.words.length > 0 && Boolean(search);
    const kept = new Uint8Array(rows);
    this.matches = 0;
    for (let row = 0; row < rows; row++) {
      if (present && !present(row)) continue;
      if (searching) {
        const text = search(row).toLowerCase();
        if (!this.words.every((word) => text.includes(word))) continue;
      }
      this.matches++;
      kept[row] = 1;
      if (this.tree) for (let above = parent[row]; above >= 0 && !kept[above]; above = parent[above]) kept[above] = 2;
    }
    const order = [];
    const compare = this._comparison();
    if (!this.tree) {
      for (let row = 0; row < rows; row++) if (kept[row] === 1) order.push(row);
      if (compare) order.sort(compare);
    } else {
      const rest = [this._sorted(this.roots, compare)];
      const places = [0];
      while (rest.length) {
        const level = rest[rest.length - 1];
        const row = level[places[places.length - 1]++];
        if (row === undefined) {
          rest.pop();
          places.pop();
        } else if (kept[row]) {
          order.push(row);
          if (this.kids[row] && (searching || !this.closed[row])) {
            rest.push(this._sorted(this.kids[row], compare));
            places.push(0);
          }
        }
      }
    }
    this.kept = kept;
    this.searching = searching;
    this.order = order;
  }

  _sorted(list, compare) {
    return compare ? [...list].sort(compare) : list;
  }

  _comparison() {
    const column = this.sort && this.columns.find((one) => one.key === this.sort.key);
    if (!column) return null;
    const sign = this.sort.descending ? -1 : 1;
    return (a, b) => {
      const x = column.value(a);
      const y = column.value(b);
      if (x === y) return a - b;
      if (x === null || x === undefined) return 1; // what has no figure comes last, in either order
      if (y === null || y === undefined) return -1;
      return x < y ? -sign : sign;
    };
  }

  // -- elements -----------------------------------------------------------------------------------------------------------------------

  _build(host) {
    const { label, parent } = this.options;
    this.headings = this.columns.map((column) => {
      const classes = `${column.kind}${column.drop ? ` drop${column.drop}` : ""}`;
      const cell = el("th", { scope: "col", class: classes, title: column.hint });
      if (column.value) {
        cell.append(el("button", { type: "button", on: { click: () => this._sortBy(column) } }, el("span", { text: column.title })));
      } else cell.append(el("span", { text: column.title }));
      return cell;
    });
    const columns = el("colgroup");
    for (const column of this.columns) {
      const one = el("col", { class: column.drop ? `drop${column.drop}` : null });
      if (column.width) one.style.width = column.width;
      columns.append(one);
    }
    this.above = el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: this.columns.length }));
    this.below = el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: this.columns.length }));
    this.body = el("tbody", {}, this.above, this.below);
    const role = parent === undefined ? "grid" : "treegrid";
    const attributes = { id: this.id, role, "aria-label": label, tabindex: "0", "aria-colcount": this.columns.length };
    this.table = el("table", attributes, columns, el("thead", {}, el("tr", { "aria-rowindex": 1 }, ...this.headings)), this.body);
    this.scroller = el("div", { class: "scroller" }, this.table);
    this.empty = el("p", { class: "empty", text: this.options.empty });
    host.append(this.scroller, this.empty);
    this.scroller.addEventListener("scroll", () => this._draw(), { passive: true });
    this.table.addEventListener("keydown", (event) => this._key(event));
    this.body.addEventListener("click", (event) => this._click(event));
    new ResizeObserver(() => this._draw()).observe(this.scroller);
    document.addEventListener("themechange", () => this.refresh());
  }

  _headings() {
    this.columns.forEach((column, at) => {
      if (!column.value) return;
      const mine = this.sort?.key === column.key;
      this.headings[at].setAttribute("aria-sort", mine ? (this.sort.descending ? "descending" : "ascending") : "none");
    });
  }

  _sortBy(column) {
    const first = column.kind === "number" || column.kind === "custom"; // the largest first, and names from A
    if (this.sort?.key !== column.key) this.sort = { key: column.key, descending: first };
    else if (this.sort.descending === first) this.sort = { key: column.key, descending: !first };
    else this.sort = this.options.parent ? null : { key: column.key, descending: first }; // a tree goes back to its own order
    this.refresh();
    this.scroller.scrollTop = 0;
    this._draw();
  }

  _draw() {
    const height = this.scroller.clientHeight || 600;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.order.length, Math.ceil((this.scroller.scrollTop + height) / ROW) + BEYOND);
    const wanted = new Set(this.order.slice(first, last));
    for (const [row, element] of this.shown) {
      if (wanted.has(row)) continue;
      element.remove();
      this.shown.delete(row);
    }
    let before = this.above;
    for (let place = first; place < last; place++) {
      const row = this.order[place];
      let element = this.shown.get(row);
      if (!element) {
        element = this._row(row, place);
        this.shown.set(row, element);
      }
      if (before.nextSibling !== element) before.after(element);
      before = element;
    }
    this.above.hidden = first === 0;
    this.below.hidden = last >= this.order.length;
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${(this.order.length - last) * ROW}px`;
    const active = this.shown.get(this.active);
    if (active) this.table.setAttribute("aria-activedescendant", active.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  _row(row, place) {
    const element = el("tr", { id: `${this.id}-${row}`, "aria-rowindex": place + 2, "aria-selected": String(row === this.active) });
    element.dataset.row = row;
    if (this.searching && this.kept[row] === 2) element.className = "context";
    if (this.tree) {
      element.setAttribute("aria-level", String(this.depth[row] + 1));
      if (this.kids[row]) element.setAttribute("aria-expanded", String(this._isOpen(row)));
    }
    for (const column of this.columns) {
      const cell = el("td", { class: `${column.kind}${column.drop ? ` drop${column.drop}` : ""}`, title: column.title_of?.(row) });
      if (column.kind === "name" && this.tree) {
        cell.style.paddingInlineStart = `${8 + 14 * Math.min(this.depth[row], 24)}px`;
        cell.append(el("span", { class: this.kids[row] ? "twist" : "twist none", "aria-hidden": "true" }));
      }
      if (column.fill) column.fill(cell, row, this.tree);
      else if (column.kind === "number") cell.append(column.text(row));
      else cell.append(name(column.text(row)));
      element.append(cell);
    }
    return element;
  }

  _isOpen(row) {
    return this.searching || !this.closed[row];
  }

  // -- hands --------------------------------------------------------------------------------------------------------------------------

  _click(event) {
    const element = event.target.closest("tr[data-row]");
    if (!element || !getSelection().isCollapsed) return;
    const row = Number(element.dataset.row);
    if (event.target.classList.contains("twist") && this.kids?.[row]) this._fold(row, !this.closed[row]);
    else this._activate(row);
  }

  _fold(row, closed) {
    this.closed[row] = closed ? 1 : 0;
    this.refresh();
  }

  _activate(row) {
    this.shown.get(this.active)?.setAttribute("aria-selected", "false");
    this.active = row;
    this._reveal(this.order.indexOf(row));
    this._draw();
    this.shown.get(row)?.setAttribute("aria-selected", "true");
    this.options.onselect?.(row);
  }

  _reveal(place) {
    if (place < 0) return;
    const head = this.headings[0].offsetHeight;
    const top = place * ROW;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW + head > scrollTop + clientHeight) this.scroller.scrollTop = top + ROW + head - clientHeight;
    this._draw();
  }

  _key(event) {
    if (event.target !== this.table || event.ctrlKey || event.metaKey || event.altKey || !this.order.length) return;
    const place = this.order.indexOf(this.active);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const next = Math.max(0, Math.min(this.order.length - 1, place + steps[event.key]));
      event.preventDefault();
      this._activate(this.order[next]);
    } else if (this.tree && place >= 0 && ["ArrowRight", "ArrowLeft", "Enter", " "].includes(event.key)) {
      event.preventDefault();
      this._turn(event.key);
    }
  }

  _turn(key) {
    const row = this.active;
    const open = this.kids[row] && this._isOpen(row);
    if (key === "ArrowRight" && this.kids[row] && !open) this._fold(row, false);
    else if (key === "ArrowRight" && open) this._activate(this.order[this.order.indexOf(row) + 1]);
    else if (key === "ArrowLeft" && open && !this.searching) this._fold(row, true);
    else if (key === "ArrowLeft" && this.options.parent[row] >= 0) this._activate(this.options.parent[row]);
    else if ((key === "Enter" || key === " ") && this.kids[row]) this._fold(row, Boolean(open));
  }
}
