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
    this.active = -1; // the row that is selected
    this.shown = new Map(); // row -> its element
    this._build(host);
    this.reset(options.rows, options.parent ?? null);
  }

  /** How many rows match. */
  get matches() {
    return this.rows.matches;
  }

  // -- what is shown -----------------------------------------------------------------------------------------------------------------

  /** Other rows in the same columns. */
  reset(rows, parent = null) {
    const flat = this.rows?.isFlat ?? false;
    this.rows = new Rows(rows, parent, this.options.foldAt);
    this.rows.isFlat = flat;
    this.active = -1;
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
    this.rows.isFlat = on;
    this.refresh();
  }

  /** Unfold everything, or fold it. */
  openAll(open) {
    this.rows.openAll(open);
    this.refresh();
  }

  /** Unfold, select and bring into sight. */
  select(row) {
    this.rows.uncover(row);
    this.active = row;
    this.refresh();
    this._reveal(this.rows.order.indexOf(row));
    this.options.onselect?.(row);
  }

  /** Everything anew: after a change of what rows say, of the order or of the filter. */
  refresh() {
    const column = this.sort && this.columns.find((one) => one.key === this.sort.key);
    this.rows.arrange(this.words, this.options.search, this.options.present, byColumn(column, this.sort?.descending));
    const { length } = this.rows.order;
    this.table.setAttribute("aria-rowcount", String(length + 1));
    this.empty.hidden = length > 0;
    this.shown.clear();
    this.body.replaceChildren(this.above, this.below);
    this._headings();
    this._draw();
    this.options.onarrange?.();
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
    else this.sort = this.rows.parent ? null : { key: column.key, descending: first }; // a tree goes back to its own order
    this.refresh();
    this.scroller.scrollTop = 0;
    this._draw();
  }

  _draw() {
    const height = this.scroller.clientHeight || 600;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.rows.order.length, Math.ceil((this.scroller.scrollTop + height) / ROW) + BEYOND);
    const wanted = new Set(this.rows.order.slice(first, last));
    for (const [row, element] of this.shown) {
      if (wanted.has(row)) continue;
      element.remove();
      this.shown.delete(row);
    }
    let before = this.above;
    for (let place = first; place < last; place++) {
      const row = this.rows.order[place];
      let element = this.shown.get(row);
      if (!element) {
        element = this._row(row, place);
        this.shown.set(row, element);
      }
      if (before.nextSibling !== element) before.after(element);
      before = element;
    }
    this.above.hidden = first === 0;
    this.below.hidden = last >= this.rows.order.length;
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${(this.rows.order.length - last) * ROW}px`;
    const active = this.shown.get(this.active);
    if (active) this.table.setAttribute("aria-activedescendant", active.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  _row(row, place) {
    const element = el("tr", { id: `${this.id}-${row}`, "aria-rowindex": place + 2, "aria-selected": String(row === this.active) });
    element.dataset.row = row;
    if (this.rows.searching && this.rows.kept[row] === 2) element.className = "context";
    if (this.rows.tree) {
      element.setAttribute("aria-level", String(this.rows.depth[row] + 1));
      if (this.rows.kids[row]) element.setAttribute("aria-expanded", String(this.rows.isOpen(row)));
    }
    for (const column of this.columns) {
      const cell = el("td", { class: `${column.kind}${column.drop ? ` drop${column.drop}` : ""}`, title: column.title_of?.(row) });
      if (column.kind === "name" && this.rows.tree) {
        cell.style.paddingInlineStart = `${8 + 14 * Math.min(this.rows.depth[row], 24)}px`;
        cell.append(el("span", { class: this.rows.kids[row] ? "twist" : "twist none", "aria-hidden": "true" }));
      }
      if (column.fill) column.fill(cell, row, this.rows.tree);
      else if (column.kind === "number") cell.append(column.text(row));
      else cell.append(name(column.text(row)));
      element.append(cell);
    }
    return element;
  }

  // -- hands --------------------------------------------------------------------------------------------------------------------------

  _click(event) {
    const element = event.target.closest("tr[data-row]");
    if (!element || !getSelection().isCollapsed) return;
    const row = Number(element.dataset.row);
    if (event.target.classList.contains("twist") && this.rows.kids?.[row]) this._fold(row, !this.rows.closed[row]);
    else this._activate(row);
  }

  _fold(row, closed) {
    this.rows.closed[row] = closed ? 1 : 0;
    this.refresh();
  }

  _activate(row) {
    this.shown.get(this.active)?.setAttribute("aria-selected", "false");
    this.active = row;
    this._reveal(this.rows.order.indexOf(row));
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
    if (event.target !== this.table || event.ctrlKey || event.metaKey || event.altKey || !this.rows.order.length) return;
    const place = this.rows.order.indexOf(this.active);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const next = Math.max(0, Math.min(this.rows.order.length - 1, place + steps[event.key]));
      event.preventDefault();
      this._activate(this.rows.order[next]);
    } else if (this.rows.tree && place >= 0 && ["ArrowRight", "ArrowLeft", "Enter", " "].includes(event.key)) {
      event.preventDefault();
      this._turn(event.key);
    }
  }

  _turn(key) {
    const row = this.active;
    const open = this.rows.kids[row] && this.rows.isOpen(row);
    if (key === "ArrowRight" && this.rows.kids[row] && !open) this._fold(row, false);
    else if (key === "ArrowRight" && open) this._activate(this.rows.order[this.rows.order.indexOf(row) + 1]);
    else if (key === "ArrowLeft" && open && !this.rows.searching) this._fold(row, true);
    else if (key === "ArrowLeft" && this.rows.parent[row] >= 0) this._activate(this.rows.parent[row]);
    else if ((key === "Enter" || key === " ") && this.rows.kids[row]) this._fold(row, Boolean(open));
  }
}
