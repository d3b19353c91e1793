// The rows of a table: which are shown, and in which order. With parents they are a tree.

const MATCHING = 1; // the row matches the search
const ANCESTOR = 2; // a row below it matches

/**
 * Rows that fold, are searched and are sorted. A search keeps the ancestors of a match. Sorting
 * orders the children of each row.
 */
class Rows {
  /**
   * `parent` has the parent of each row (-1: none), or is null for a list. A tree with more than
   * `foldAbove` rows begins folded.
   */
  constructor(length, parent, foldAbove) {
    this.length = length;
    this.parent = parent;
    this.isFlat = false;
    this.isSearching = false;
    this.matchCount = length;
    this.order = [];
    this.folded = new Uint8Array(length);
    this.depth = new Uint16Array(length);
    this.visibility = new Uint8Array(length); // MATCHING, ANCESTOR or 0
    this.children = null;
    if (parent) this._buildTree(foldAbove);
  }

  get isTree() {
    return Boolean(this.parent) && !this.isFlat;
  }

  isOpen(row) {
    return this.isSearching || !this.folded[row];
  }

  openAll(open) {
    for (let row = 0; row < this.length; row++) {
      this.folded[row] = open || !this.children?.[row] ? 0 : 1;
    }
  }

  /** Unfold the ancestors of a row. */
  openAncestors(row) {
    if (!this.isTree) return;
    for (let ancestor = this.parent[row]; ancestor >= 0; ancestor = this.parent[ancestor]) {
      this.folded[ancestor] = 0;
    }
  }

  /**
   * Compute `order`: the rows that are present and whose search text has every word. `compare` is
   * null for the original order.
   */
  arrange(words, getSearchText, isPresent, compare) {
    this._findMatches(words, getSearchText, isPresent);
    this.order = this.isTree ? this._orderTree(compare) : this._orderList(compare);
  }

  _buildTree(foldAbove) {
    this.roots = [];
    this.children = Array.from({ length: this.length }, () => null);
    for (let row = 0; row < this.length; row++) {
      const parent = this.parent[row];
      if (parent < 0) this.roots.push(row);
      else (this.children[parent] ??= []).push(row);
    }
    // A parent may stand behind its children.
    const pending = [...this.roots];
    while (pending.length) {
      const row = pending.pop();
      for (const child of this.children[row] ?? []) {
        this.depth[child] = this.depth[row] + 1;
        pending.push(child);
      }
    }
    if (this.length <= foldAbove) return;
    // Fold at the depth from which the rows would not fit on a screen.
    const rowsOfDepth = [];
    for (const depth of this.depth) rowsOfDepth[depth] = (rowsOfDepth[depth] ?? 0) + 1;
    let openDepth = 0;
    let openRows = rowsOfDepth[0] ?? 0;
    while (
      openDepth + 1 < rowsOfDepth.length &&
      openRows + rowsOfDepth[openDepth + 1] <= foldAbove
    ) {
      openRows += rowsOfDepth[++openDepth];
    }
    const foldDepth = Math.max(1, openDepth);
    for (let row = 0; row < this.length; row++) {
      this.folded[row] = this.children[row] && this.depth[row] >= foldDepth ? 1 : 0;
    }
  }

  _findMatches(words, getSearchText, isPresent) {
    this.isSearching = words.length > 0 && Boolean(getSearchText);
    this.visibility.fill(0);
    this.matchCount = 0;
    for (let row = 0; row < this.length; row++) {
      if (isPresent && !isPresent(row)) continue;
      if (this.isSearching) {
        const text = getSearchText(row).toLowerCase();
        if (!words.every((word) => text.includes(word))) continue;
      }
      this.matchCount++;
      this.visibility[row] = MATCHING;
      if (!this.isTree) continue;
      let ancestor = this.parent[row];
      while (ancestor >= 0 && !this.visibility[ancestor]) {
        this.visibility[ancestor] = ANCESTOR;
        ancestor = this.parent[ancestor];
      }
    }
  }

  _orderList(compare) {
    const order = [];
    for (let row = 0; row < this.length; row++) {
      if (this.visibility[row] === MATCHING) order.push(row);
    }
    return compare ? order.sort(compare) : order;
  }

  _orderTree(compare) {
    const sort = (rows) => (compare ? [...rows].sort(compare) : rows);
    const order = [];
    const levels = [sort(this.roots)];
    const positions = [0];
    while (levels.length) {
      const row = levels[levels.length - 1][positions[positions.length - 1]++];
      if (row === undefined) {
        levels.pop();
        positions.pop();
      } else if (this.visibility[row]) {
        order.push(row);
        if (this.children[row] && this.isOpen(row)) {
          levels.push(sort(this.children[row]));
          positions.push(0);
        }
      }
    }
    return order;
  }
}

/** Return a comparison by a column's values. Rows without a value are always last. */
function compareByColumn(column, descending) {
  if (!column) return null;
  const sign = descending ? -1 : 1;
  return (rowA, rowB) => {
    const a = column.value(rowA);
    const b = column.value(rowB);
    if (a === b) return rowA - rowB;
    if (isMissing(a)) return 1;
    if (isMissing(b)) return -1;
    return a < b ? -sign : sign;
  };
}
