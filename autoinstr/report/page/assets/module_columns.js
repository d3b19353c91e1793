// The figures and columns of the table of modules.

const ALL_PHASES = "all phases";

/** Return the figures of one phase by row. `get(key, row)` is null for a row without calls. */
function indexByRow(tree, figures) {
  const positions = new Int32Array(tree.labels.length).fill(-1);
  figures.rows.forEach((row, position) => (positions[row] = position));
  return {
    has: (row) => positions[row] >= 0,
    get: (key, row) => (positions[row] < 0 ? null : figures[key]?.[positions[row]] ?? null),
  };
}

function formatDomain(tree) {
  return tree.modules && tree.domain === "Module" ? "modules" : tree.domain;
}

function formatPhase(figures) {
  return figures.all ? ALL_PHASES : (figures.phase ?? "no phase");
}

function listPhaseChoices(allFigures) {
  return allFigures.map((figures, index) => {
    const color = figures.all ? null : `var(--${getPhaseToken(figures.phase)})`;
    return { label: formatPhase(figures), value: index, color };
  });
}

/**
 * Return the number of steps in a phase, or null where steps have no phases like these. In all
 * phases together, idle steps of vLLM do not count: no model runs in them.
 */
function getStepCount(figures) {
  const { sort, of: stepCount } = data.steps;
  if (sort === "optimizer") return stepCount;
  if (sort !== "engine") return null;
  const counts = data.cards
    .filter((card) => (figures.all ? card.kind !== "idle" : card.kind === figures.phase))
    .map((card) => card.steps);
  return counts.length ? counts.reduce((sum, count) => sum + count, 0) : null;
}

/** List the columns of a ModulesSection. Columns that would be empty are omitted. */
function listModuleColumns(modules) {
  const { tree } = modules;
  const get = (key, row) => modules.figuresOfRow.get(key, row);
  const total = (row) => get("total", row);
  const divide = (value, divisor) => (value === null || !divisor ? null : value / divisor);
  const perStep = (key) => (row) => divide(get(key, row), modules.stepDivisor);
  const share = (row) => divide(total(row) - get("waiting", row), modules.busyTime);
  const isWaiting = (row) => total(row) > 0 && get("waiting", row) === total(row);
  const formatCalls = (row) => {
    const calls = perStep("calls")(row);
    return calls !== null && modules.stepDivisor > 1 ? calls.toFixed(1) : formatCount(calls);
  };
  const percentile = (key, title, hint, drop) =>
    makeDurationColumn(key, title, hint, "9.5ch", (row) => get(key, row), drop);
  const drop = tree.device_ns ? 3 : 2;
  const nameColumn = {
    key: "module",
    title: "Module",
    kind: "name",
    value: (row) => tree.paths[row],
    text: (row) => tree.labels[row],
    fill: (cell, row, isTree) => {
      cell.append(makeName(isTree ? tree.labels[row] : tree.paths[row]));
      const code = nameCode(tree, row);
      if (code) cell.append(el("span", { class: "tag", text: code }));
    },
  };
  const classColumn = {
    key: "class",
    title: "Class",
    kind: "text",
    width: "clamp(12ch, 13vw, 26ch)",
    drop: 1,
    value: (row) => tree.classes[row],
    text: (row) => tree.classes[row],
  };
  const shareColumn = {
    key: "share",
    title: "Share",
    hint:
      "Time in the calls without waiting, divided by the busy time of this process in this phase",
    kind: "number",
    width: "9ch",
    value: share,
    text: (row) => (isWaiting(row) ? "waits" : formatPercent(share(row))),
    fill: (cell, row) => {
      cell.classList.add("share-bar");
      cell.style.setProperty("--part", `${Math.min(100, 100 * (share(row) ?? 0))}%`);
      cell.append(isWaiting(row) ? "waits" : formatPercent(share(row)));
    },
  };
  const callsColumn = {
    key: "calls",
    title: "Calls",
    kind: "number",
    width: "9ch",
    drop: 1,
    value: (row) => get("calls", row),
    text: formatCalls,
    title_of: (row) => formatCount(get("calls", row)),
  };
  const layersColumn = {
    key: "layers",
    title: "By layer",
    hint: "Mean time of a call in each entry of the folded list; sorted by slowest / median",
    kind: "custom",
    width: "132px",
    drop: 2,
    value: (row) => getLayerRatio(modules.getLayers(row)),
    text: () => "",
    fill: (cell, row) => {
      const layers = modules.getLayers(row);
      if (layers) fillLayerCell(cell, ...layers);
    },
  };
  const paramsColumn = {
    key: "params",
    title: "Params",
    hint: "Elements of the parameters in the module and below it; of folded entries the sum",
    kind: "number",
    width: "9ch",
    drop: 3,
    value: (row) => tree.params[row],
    text: (row) => formatAmount(tree.params[row]),
    title_of: (row) => formatCount(tree.params[row]),
  };
  return [
    nameColumn,
    ...(tree.modules ? [classColumn] : []),
    ...(tree.device_ns ? listDeviceColumns(tree, get, perStep, divide) : []),
    shareColumn,
    makeDurationColumn("total", "Total", "Time in all calls", "9.5ch", perStep("total")),
    makeDurationColumn(
      "self",
      "Self",
      "Time in the calls outside the modules that they called",
      "9.5ch",
      perStep("self"),
    ),
    callsColumn,
    makeDurationColumn("mean", "Mean", "Mean time of a call", "9.5ch", (row) =>
      divide(total(row), get("calls", row)),
    ),
    percentile("p50", "p50", "50 % of the calls took at most this long", drop),
    percentile("p99", "p99", "99 % of the calls took at most this long", drop),
    percentile("max", "Max", "The slowest call", tree.device_ns ? 4 : 3),
    ...(tree.numbers.length ? [layersColumn] : []),
    ...(tree.params.some((count) => count !== null) ? [paramsColumn] : []),
  ];
}

/** List the columns of device time, which a profile of the run gave. */
function listDeviceColumns(tree, get, perStep, divide) {
  const share = (row) => {
    const ns = get("device", row);
    return divide(ns === null ? null : ns - get("communication", row), tree.device_ns);
  };
  const duration = (key, title, hint, drop) =>
    makeDurationColumn(key, title, hint, "11ch", (row) => perStep(key)(row) || null, drop);
  const hasBackward = tree.figures[0].backward.some(Boolean);
  return [
    duration("device", "Device", "Time of all kernels of the module and those below it"),
    {
      key: "device_share",
      title: "Device %",
      hint: "Of the compute and copies that the profile saw launched",
      kind: "number",
      width: "9ch",
      value: share,
      text: (row) => formatPercent(share(row)),
    },
    duration("device_self", "Device self", "Time of the kernels of the module alone", 2),
    hasBackward && duration("backward", "Backward", "Device time of the backward pass", 2),
    {
      key: "kernels",
      title: "Kernels",
      kind: "number",
      width: "9ch",
      drop: 2,
      value: (row) => get("kernels", row),
      text: (row) => formatCount(get("kernels", row)),
      title_of: (row) => get("top", row) ?? "",
    },
    ...tree.device_figures.filter((figure) => figure.in_table).map((figure) => makeFigureColumn(figure, get)),
  ].filter(Boolean);
}

const FIGURE_FORMATS = {
  flops: (value) => formatDigits(value / 1e9),
  bytes: formatBytes,
  share: formatPercent,
  rate: formatDigits,
  time: formatDuration,
  rank: (rank) => `rank ${rank}`,
};

/** Format a figure; `get(key)` is null where it is not known. */
function formatFigure(key, unit, get) {
  const least = get(key) === null ? get(`${key}_at_least`) : null;
  if (least !== null) return `>${FIGURE_FORMATS[unit](least)}`;
  return get(key) === null ? NO_VALUE : FIGURE_FORMATS[unit](get(key));
}

/** Make a column of what limits a module. Where only a part is known, it says so with ">". */
function makeFigureColumn({ key, title, unit, hint }, get) {
  const value = (row) => get(key, row);
  const text = (row) => formatFigure(key, unit, (name) => get(name, row));
  return { key, title, hint, kind: "number", width: "11ch", drop: 3, value, text };
}

/** Return the ratio of the slowest entry and the median, or null. */
function getLayerRatio(layers) {
  const means = layers?.[1].filter(Boolean);
  return means?.length ? findMaximum(means) / computeMedian(means) : null;
}
