// The view of a table of any length: only the rows that are visible have elements.

const ROW_HEIGHT = 26; // CSS pixels, as in the stylesheet
const EXTRA_ROWS = 12; // rows with elements on either side of the visible ones
const MAX_UNSCROLLED_ROWS = 48; // a longer table scrolls in its own box
let tableCount = 0;

class TableView {
  /**
   * `options`: label (for screen readers), rows (number), columns, parent (array, -1 for none; a
   * tree), search(row), present(row), sort ({key, descending}), onselect(row), onarrange(),
   * detail(row) (an element that is shown below the selected row), foldAbove (a larger tree begins folded), empty (text without rows).
   * A column: key, title, hint, kind ("name", "text", "number", "custom"), width, value(row) to
   * sort by, text(row), title_of(row), fill(cell, row, isTree), drop (1 to 4: how narrow the page
   * may be before the column is hidden).
   */
  constructor(container, options) {
    this.id = `table${++tableCount}`;
    this.options = { foldAbove: 60, empty: "no rows", ...options };
    this.columns = options.columns;
    this.sort = options.sort ?? null;
    this.words = [];
    this.active = -1; // the selected row
    this.elements = new Map(); // row -> its element
    this.detail = null; // the element of the selected row's details
    this._build(container);
    this.reset(options.rows, options.parent ?? null);
  }

  /** The number of rows that match the search. */
  get matchCount() {
    return this.rows.matchCount;
  }

  /** Show other rows in the same columns. */
  reset(rowCount, parent = null) {
    const isFlat = this.rows?.isFlat ?? false;
    this.rows = new Rows(rowCount, parent, this.options.foldAbove);
    this.rows.isFlat = isFlat;
    this.active = -1;
    this.detail = null;
    this.refresh();
  }

  /** Show only the rows that match every word, and their ancestors. */
  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.refresh();
    this.scroller.scrollTop = 0;
    this._draw();
  }

  /** Show a list instead of a tree. */
  setFlat(isFlat) {
    this.rows.isFlat = isFlat;
    this.refresh();
  }

  /** Unfold or fold all rows. */
  openAll(open) {
    this.rows.openAll(open);
    this.refresh();
  }

  /** Rebuild the table after a change of values, order or filter. */
  refresh() {
    const { search, present } = this.options;
    const column = this.sort && this.columns.find(({ key }) => key === this.sort.key);
    const compare = compareByColumn(column, this.sort?.descending);
    this.rows.arrange(this.words, search, present, compare);
    const { length } = this.rows.order;
    this.table.setAttribute("aria-rowcount", String(length + 1));
    this.empty.hidden = length > 0;
    this.elements.clear();
    this.body.replaceChildren(this.spaceAbove, this.spaceBelow);
    this.scroller.classList.toggle("short", length <= MAX_UNSCROLLED_ROWS);
    if (this.detail) this._fillDetail();
    this._markSorting();
    this._draw();
    this.options.onarrange?.();
  }

  _build(container) {
    const { label, parent } = this.options;
    this.headings = this.columns.map((column) => this._buildHeading(column));
    const columns = el("colgroup");
    for (const definition of this.columns) {
      const column = el("col", { class: getCellClass(definition) });
      if (definition.width) column.style.width = definition.width;
      columns.append(column);
    }
    this.spaceAbove = this._buildSpace();
    this.spaceBelow = this._buildSpace();
    this.body = el("tbody", {}, this.spaceAbove, this.spaceBelow);
    const head = el("thead", {}, el("tr", { "aria-rowindex": 1 }, ...this.headings));
    const role = parent === undefined ? "grid" : "treegrid";
    const attributes = {
      id: this.id,
      role,
      "aria-label": label,
      tabindex: "0",
      "aria-colcount": this.columns.length,
    };
    this.table = el("table", attributes, columns, head, this.body);
    this.scroller = el("div", { class: "scroller" }, this.table);
    this.empty = el("p", { class: "empty", text: this.options.empty });
    container.append(this.scroller, this.empty);
    this.scroller.addEventListener("scroll", () => this._draw(), { passive: true });
    new ResizeObserver(() => {
      fitColumns(this);
      this._draw();
    }).observe(this.scroller);
    document.addEventListener("themechange", () => this.refresh());
  }

  _buildHeading(column) {
    const title = el("span", { text: column.title });
    const button = column.value
      ? el("button", { type: "button", on: { click: () => this._sortBy(column) } }, title)
      : title;
    return el("th", { scope: "col", class: getCellClass(column), title: column.hint }, button);
  }

  _buildSpace() {
    const cell = el("td", { colspan: this.columns.length });
    return el("tr", { class: "space", "aria-hidden": "true" }, cell);
  }

  _markSorting() {
    this.columns.forEach((column, index) => {
      if (!column.value) return;
      const direction = this.sort?.descending ? "descending" : "ascending";
      const isSorted = this.sort?.key === column.key;
      this.headings[index].setAttribute("aria-sort", isSorted ? direction : "none");
    });
  }

  /** Sort by a column, reverse the order, or return a tree to its original order. */
  _sortBy(column) {
    const descendingFirst = column.kind === "number" || column.kind === "custom";
    if (this.sort?.key !== column.key) this.sort = { key: column.key, descending: descendingFirst };
    else if (this.sort.descending === descendingFirst)
      this.sort = { key: column.key, descending: !descendingFirst };
    else this.sort = this.rows.parent ? null : { key: column.key, descending: descendingFirst };
    this.refresh();
    this.scroller.scrollTop = 0;
    this._draw();
  }

  /** Add elements for the visible rows, and remove the others. */
  _draw() {
    const { order } = this.rows;
    const { scrollTop } = this.scroller;
    const height = this.scroller.clientHeight || 600;
    // The details below a row take height too: a few more rows than visible get elements.
    const top = scrollTop - (this.detail?.offsetHeight ?? 0);
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - EXTRA_ROWS);
    const last = Math.min(order.length, Math.ceil((scrollTop + height) / ROW_HEIGHT) + EXTRA_ROWS);
    const visibleRows = new Set(order.slice(first, last));
    for (const [row, element] of this.elements) {
      if (visibleRows.has(row)) continue;
      element.remove();
      this.elements.delete(row);
    }
    let previous = this.spaceAbove;
    for (let position = first; position < last; position++) {
      const row = order[position];
      let element = this.elements.get(row);
      if (!element) {
        element = this._buildRow(row, position);
        this.elements.set(row, element);
      }
      if (previous.nextSibling !== element) previous.after(element);
      previous = element;
      if (row === this.active && this.detail) {
        if (previous.nextSibling !== this.detail) previous.after(this.detail);
        previous = this.detail;
      }
    }
    if (this.detail && !visibleRows.has(this.active)) this.detail.remove();
    this.detail?.style.setProperty("--width", `${this.scroller.clientWidth}px`);
    this.spaceAbove.hidden = first === 0;
    this.spaceBelow.hidden = last >= order.length;
    this.spaceAbove.firstChild.style.height = `${first * ROW_HEIGHT}px`;
    this.spaceBelow.firstChild.style.height = `${(order.length - last) * ROW_HEIGHT}px`;
    const active = this.elements.get(this.active);
    if (active) this.table.setAttribute("aria-activedescendant", active.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  /** Show the details of the selected row below it. */
  showDetail() {
    if (!this.options.detail || this.active < 0) return;
    const cell = el("td", { colspan: this.columns.length }, el("div", { class: "inspector" }));
    this.detail?.remove();
    this.detail = el("tr", { class: "detail" }, cell);
    fitColumns(this);
    this._fillDetail();
    this._draw();
  }

  hideDetail() {
    this.detail?.remove();
    this.detail = null;
    this._draw();
  }

  _fillDetail() {
    this.detail.querySelector(".inspector").replaceChildren(this.options.detail(this.active));
  }

  _buildRow(row, position) {
    const { rows } = this;
    const element = el("tr", {
      id: `${this.id}-${row}`,
      "aria-rowindex": position + 2,
      "aria-selected": String(row === this.active),
    });
    element.dataset.row = row;
    if (rows.isSearching && rows.visibility[row] === ANCESTOR) element.className = "context";
    if (rows.isTree) {
      element.setAttribute("aria-level", String(rows.depth[row] + 1));
      if (rows.children[row]) element.setAttribute("aria-expanded", String(rows.isOpen(row)));
    }
    element.append(...this.columns.map((column) => this._buildCell(column, row)));
    return element;
  }

  _buildCell(column, row) {
    const { rows } = this;
    const cell = el("td", { class: getCellClass(column), title: column.title_of?.(row) });
    if (column.kind === "name" && rows.isTree) {
      cell.style.paddingInlineStart = `${8 + 14 * Math.min(rows.depth[row], 24)}px`;
      const foldClass = rows.children[row] ? "fold" : "fold leaf";
      cell.append(el("span", { class: foldClass, "aria-hidden": "true" }));
    }
    if (column.fill) column.fill(cell, row, rows.isTree);
    else if (column.kind === "number") cell.append(column.text(row));
    else cell.append(makeName(column.text(row)));
    return cell;
  }
}
