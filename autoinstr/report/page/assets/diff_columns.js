// The columns of the table of both runs, and the figures of a selected row.

const INTERVAL_WIDTH = 150; // of the picture of an interval
const MAX_LOG_RANGE = Math.log(4); // the largest change that a picture shows in either direction
const DIFF_FIGURES = [
  ["path", "Path", String],
  ["class", "Class", String],
  ["calls", "Calls", formatCount],
  ["total_ns", "Total", formatDuration],
  ["self_ns", "Self", formatDuration],
  ["mean_ns", "Mean call", formatDuration],
  ["p50_ns", "Median call", formatDuration],
  ["step_ns", "Step", formatDuration],
  ["steps", "Steps with this module", formatCount],
  ["share", "Share", formatPercent],
];

/** Return the logarithm of the largest change in some rows, for the scale of their pictures. */
function getLogRange(first, last) {
  const { low, high, change } = data.rows;
  let range = 0.01;
  for (let row = first; row < last; row++) {
    if (change[row] === "inconclusive") continue;
    for (const ratio of [low[row], high[row]])
      if (ratio) range = Math.max(range, Math.abs(Math.log(ratio)));
  }
  return Math.min(MAX_LOG_RANGE, range);
}

/** Draw an interval: no change is in the middle, slower is to the right. */
function paintInterval(context, width, height, row, logRange) {
  const { rows } = data;
  const toX = (ratio) => {
    const position = Math.max(-1, Math.min(1, Math.log(ratio) / logRange));
    return width / 2 + (position * (width - 8)) / 2;
  };
  context.fillStyle = getColor("strong");
  context.fillRect(width / 2, 0, 1, height);
  if (rows.ratio[row] === null) return;
  context.fillStyle = getColor(getTone(rows, row));
  if (formatInterval(rows, row)) {
    const left = toX(rows.low[row]);
    context.globalAlpha = 0.35;
    context.fillRect(left, height / 2 - 3, Math.max(1, toX(rows.high[row]) - left), 6);
    context.globalAlpha = 1;
  }
  context.fillRect(toX(rows.ratio[row]) - 1.5, height / 2 - 6, 3, 12);
}

function fillIntervalCell(cell, row, logRange) {
  if (data.rows.ratio[row] === null) return;
  const text = formatInterval(data.rows, row);
  cell.title = text;
  cell.append(
    makeCellCanvas(text || "no interval", INTERVAL_WIDTH, (context, width, height) =>
      paintInterval(context, width, height, row, logRange),
    ),
  );
}

function listDiffColumns(section) {
  const { rows } = data;
  const { first } = section;
  const get = (key) => (row) => rows[key][first + row];
  const getResult = (row) => describeResult(rows, first + row);
  const ratio = (key, title, hint, drop) => ({
    key,
    title,
    hint,
    kind: "number",
    width: "10ch",
    drop,
    value: get(key),
    text: (row) => formatChange(get(key)(row)),
  });
  const bothSides = (key, title, hint, width, format, drop) =>
    SIDES.map(([side, letter]) => {
      const value = (row) => rows[side][key]?.[first + row] ?? null;
      return {
        key: `${key}_${side}`,
        title: `${title} ${letter}`,
        hint,
        kind: "number",
        width,
        drop,
        value,
        text: (row) => format(value(row)),
      };
    });
  return [
    {
      key: "module",
      title: "Module",
      kind: "name",
      value: get("path"),
      text: get("path"),
      fill: (cell, row, isTree) =>
        cell.append(makeName(isTree ? section.getLabel(row) : get("path")(row))),
    },
    ...bothSides("step_ns", "Step", "Median time in a step", "10ch", formatDuration),
    ratio("ratio", "Change", "A typical step of B compared with one of A"),
    {
      key: "low",
      title: "95 % interval",
      hint: "No change is in the middle, slower is to the right",
      kind: "custom",
      width: `${INTERVAL_WIDTH + 18}px`,
      drop: 1,
      value: get("low"),
      text: () => "",
      fill: (cell, row) => fillIntervalCell(cell, first + row, section.logRange),
    },
    {
      key: "result",
      title: "Verdict",
      hint: "Whether the step time differs",
      kind: "text",
      width: "18ch",
      value: getResult,
      text: getResult,
      fill: (cell, row) =>
        cell.append(el("span", { class: getTone(rows, first + row), text: getResult(row) })),
    },
    {
      key: "difference",
      title: "Difference",
      hint: "(Step B − step A) × number of steps; sorted by absolute value",
      kind: "number",
      width: "11ch",
      value: (row) => Math.abs(rows.difference_ns[first + row]),
      text: (row) => formatSigned(rows.difference_ns[first + row]),
    },
    ratio("ratio_per_call", "Call", "The median call of B compared with that of A", 2),
    ...bothSides("calls", "Calls", "All calls", "9ch", formatCount, 3),
    ...bothSides(
      "total_ns",
      "Total",
      "Time in all calls of all processes",
      "10ch",
      formatDuration,
      3,
    ),
  ];
}

/** Make the details of a row: all figures of both runs. */
function inspectDiffRow(section, row) {
  const { rows } = data;
  const index = section.first + row;
  const lines = DIFF_FIGURES.map(([key, title, format]) => {
    const texts = section
      .getBoth(key, row)
      .map((value) => (value === null || value === "" ? NO_VALUE : format(value)));
    return [title, ...texts.map((text) => makeName(text, 200))];
  });
  const interval = formatInterval(rows, index);
  const summary = [
    describeResult(rows, index),
    rows.ratio[index] === null ? null : `${formatChange(rows.ratio[index])} a step`,
    interval && `95 % interval ${interval}`,
    rows.p[index] === null ? null : `p = ${rows.p[index].toPrecision(2)}`,
  ];
  const renamed = rows.renamed[index];
  return el(
    "div",
    {},
    el("div", { class: "path", tabindex: "0" }, el("bdi", { text: rows.path[index] })),
    el("div", { class: getTone(rows, index), text: summary.filter(Boolean).join(", ") }),
    renamed === null
      ? ""
      : el(
          "div",
          { class: "class" },
          "possibly renamed from or to ",
          makeName(rows.path[renamed]),
          ": not compared",
        ),
    makePlainTable("Figures of both runs", ["figure", "A", "B"], lines),
  );
}
