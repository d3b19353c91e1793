// Which rows of a table are shown, and in which order. With parents they are a tree: rows fold, a search keeps what is above a match, and
// sorting orders the rows below each.

class Rows {
  /** So many rows; `parent` is an array (-1: none), or null for a list. A tree of more than `foldAt` rows begins folded. */
  constructor(rows, parent, foldAt) {
    this.length = rows;
    this.parent = parent;
    this.isFlat = false;
    this.searching = false;
    this.matches = rows;
    this.order = [];
    this.closed = new Uint8Array(rows);
    this.depth = new Uint16Array(rows);
    this.kept = new Uint8Array(rows); // 1: it matches; 2: something below it does
    this.kids = null;
    if (parent) this._grow(foldAt);
  }

  get tree() {
    return Boolean(this.parent) && !this.isFlat;
  }

  isOpen(row) {
    return this.searching || !this.closed[row];
  }

  openAll(open) {
    for (let row = 0; row < this.length; row++) this.closed[row] = open || !this.kids?.[row] ? 0 : 1;
  }

  /** Unfold all that is above a row. */
  uncover(row) {
    if (this.tree) for (let above = this.parent[row]; above >= 0; above = this.parent[above]) this.closed[above] = 0;
  }

  /** Find `order` anew: rows that are `present` and, of these, whose `search` text has every word; `compare` is null for their own order. */
  arrange(words, search, present, compare) {
    this._keep(words, search, present);
    this.order = this.tree ? this._walk(compare) : this._list(compare);
  }

  _grow(foldAt) {
    this.roots = [];
    this.kids = Array.from({ length: this.length }, () => null);
    for (let row = 0; row < this.length; row++) {
      const above = this.parent[row];
      if (above < 0) this.roots.push(row);
      else {
        (this.kids[above] ??= []).push(row);
        this.depth[row] = this.depth[above] + 1;
      }
    }
    if (this.length <= foldAt) return;
    // It begins folded from the depth at which it would no longer fit a screen.
    const depths = [];
    for (const depth of this.depth) depths[depth] = (depths[depth] ?? 0) + 1;
    let deepest = 0;
    for (let sum = depths[0] ?? 0; deepest + 1 < depths.length && sum + depths[deepest + 1] <= foldAt; ) sum += depths[++deepest];
    for (let row = 0; row < this.length; row++) this.closed[row] = this.kids[row] && this.depth[row] >= Math.max(1, deepest) ? 1 : 0;
  }

  _keep(words, search, present) {
    this.searching = words.length > 0 && Boolean(search);
    this.kept.fill(0);
    this.matches = 0;
    for (let row = 0; row < this.length; row++) {
      if (present && !present(row)) continue;
      if (this.searching) {
        const text = search(row).toLowerCase();
        if (!words.every((word) => text.includes(word))) continue;
      }
      this.matches++;
      this.kept[row] = 1;
      if (this.tree) for (let above = this.parent[row]; above >= 0 && !this.kept[above]; above = this.parent[above]) this.kept[above] = 2;
    }
  }

  _list(compare) {
    const order = [];
    for (let row = 0; row < this.length; row++) if (this.kept[row] === 1) order.push(row);
    return compare ? order.sort(compare) : order;
  }

  _walk(compare) {
    const sorted = (rows) => (compare ? [...rows].sort(compare) : rows);
    const order = [];
    const levels = [sorted(this.roots)];
    const places = [0];
    while (levels.length) {
      const row = levels[levels.length - 1][places[places.length - 1]++];
      if (row === undefined) {
        levels.pop();
        places.pop();
      } else if (this.kept[row]) {
        order.push(row);
        if (this.kids[row] && this.isOpen(row)) {
          levels.push(sorted(this.kids[row]));
          places.push(0);
        }
      }
    }
    return order;
  }
}

/** An order by a column's values: what has no figure comes last, either way. Null without a column. */
function byColumn(column, descending) {
  if (!column) return null;
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const x = column.value(a);
    const y = column.value(b);
    if (x === y) return a - b;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return x < y ? -sign : sign;
  };
}
