// The cells and columns that tables share.

const MIN_NAME_WIDTH = 220; // CSS pixels

function getCellClass({ kind, drop }) {
  return drop ? `${kind} drop${drop}` : kind;
}

/** Return a column of durations. */
function makeDurationColumn(key, title, hint, width, value, drop) {
  return {
    key,
    title,
    hint,
    kind: "number",
    width,
    drop,
    value,
    text: (row) => formatDuration(value(row)),
    title_of: (row) => formatExact(value(row)),
  };
}

/**
 * Adapt a table to its width: cells across all columns span those that are visible, and the table
 * is wider than its box where the names would have too little room.
 */
function fitColumns(view) {
  const { table, headings, columns, scroller } = view;
  const visibleCount = headings.filter((heading) => heading.offsetWidth).length;
  for (const row of [view.spaceAbove, view.spaceBelow, view.detail]) {
    if (row && visibleCount) row.firstChild.colSpan = visibleCount;
  }
  table.style.minWidth = "";
  const name = headings[columns.findIndex(({ kind }) => kind === "name")];
  if (!name) return;
  const missing = Math.min(MIN_NAME_WIDTH, 0.45 * scroller.clientWidth) - name.offsetWidth;
  if (missing > 0) table.style.minWidth = `${table.offsetWidth + missing}px`;
}
