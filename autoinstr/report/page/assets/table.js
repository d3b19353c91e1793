// A table that is used by mouse and by keyboard.

/** The focus stays on the table, which names its active row, because rows come and go. */
class Table extends TableView {
  constructor(container, options) {
    super(container, options);
    this.table.addEventListener("keydown", (event) => this._handleKey(event));
    this.body.addEventListener("click", (event) => this._handleClick(event));
  }

  /** Unfold the ancestors of a row, select it and scroll to it. */
  select(row) {
    this.rows.openAncestors(row);
    this.active = row;
    this.refresh();
    this._scrollTo(this.rows.order.indexOf(row));
    this.showDetail();
    this.options.onselect?.(row);
  }

  /** Move the focus to the table without scrolling the page. */
  focus() {
    this.table.focus({ preventScroll: true });
  }

  _handleClick(event) {
    const element = event.target.closest("tr[data-row]");
    if (!element || !getSelection().isCollapsed) return;
    const row = Number(element.dataset.row);
    const isFold = event.target.classList.contains("fold") && this.rows.children?.[row];
    if (isFold) this._setFolded(row, !this.rows.folded[row]);
    else if (row === this.active && this.detail) this.hideDetail();
    else this._activate(row);
  }

  _setFolded(row, isFolded) {
    this.rows.folded[row] = isFolded ? 1 : 0;
    this.refresh();
  }

  _activate(row) {
    this.elements.get(this.active)?.setAttribute("aria-selected", "false");
    this.active = row;
    this._scrollTo(this.rows.order.indexOf(row));
    this._draw();
    this.elements.get(row)?.setAttribute("aria-selected", "true");
    this.showDetail();
    this.options.onselect?.(row);
  }

  _scrollTo(position) {
    if (position < 0) return;
    const headHeight = this.headings[0].offsetHeight;
    const isBelowDetail = this.detail?.isConnected && position > this._findDetailPosition();
    const top = position * ROW_HEIGHT + (isBelowDetail ? this.detail.offsetHeight : 0);
    const bottom = top + ROW_HEIGHT + headHeight;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroller.scrollTop = bottom - clientHeight;
    this._draw();
  }

  /** Return the position of the row that the details stand below. */
  _findDetailPosition() {
    const row = Number(this.detail.previousSibling?.dataset?.row ?? -1);
    return this.rows.order.indexOf(row);
  }

  _handleKey(event) {
    const { order } = this.rows;
    const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
    if (event.target !== this.table || hasModifier || !order.length) return;
    const position = order.indexOf(this.active);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 2);
    const moves = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in moves) {
      const target = Math.max(0, Math.min(order.length - 1, position + moves[event.key]));
      event.preventDefault();
      this._activate(order[target]);
    } else if (
      this.rows.isTree &&
      position >= 0 &&
      ["ArrowRight", "ArrowLeft", "Enter", " "].includes(event.key)
    ) {
      event.preventDefault();
      this._handleTreeKey(event.key);
    }
  }

  _handleTreeKey(key) {
    const row = this.active;
    const { children, parent, order } = this.rows;
    const hasChildren = Boolean(children[row]);
    const isOpen = hasChildren && this.rows.isOpen(row);
    if (key === "ArrowRight") {
      if (isOpen) this._activate(order[order.indexOf(row) + 1]);
      else if (hasChildren) this._setFolded(row, false);
    } else if (key === "ArrowLeft") {
      if (isOpen && !this.rows.isSearching) this._setFolded(row, true);
      else if (parent[row] >= 0) this._activate(parent[row]);
    } else if (hasChildren) this._setFolded(row, isOpen);
  }
}
