// The details of a selected module: all figures by phase, what is known of its code, its layers,
// and a link to the step with its longest call.

const FIGURE_HEADINGS = ["phase", "calls", "total", "self", "mean", "min", "p50", "p99", "max"];
const DEVICE_HEADINGS = [
  "device time",
  "kernels",
  "total",
  "self",
  "backward",
  "communication",
  "top kernel",
  "how it was found",
];
// How the module of a kernel was found, in words.
const BASIS_WORDS = {
  eager: "launched in its calls",
  backward: "backward pass",
  recompute: "recomputed in the backward pass",
  graph: "replayed graph",
  before: "launched before the profile",
  outside: "outside modules",
  unknown: "unknown",
};

/** Make the details of a row. */
function inspectModule(modules, row) {
  const { paths, classes } = modules.tree;
  const layers = modules.getLayers(row);
  return el(
    "div",
    {},
    el("div", { class: "path", tabindex: "0" }, el("bdi", { text: paths[row] })),
    el("div", { class: "class", tabindex: "0" }, makeName(classes[row], 4000)),
    ...describeCode(modules.tree, row),
    makePlainTable("Figures by phase", FIGURE_HEADINGS, listFigures(modules.tree, row)),
    makeDeviceTable(modules.tree, row),
    makeFigureTable(modules.tree, row),
    makeStepLink(modules, row),
    layers && el("h3", { text: describeLayers(...layers) }),
    layers && makeLayerChart(...layers),
  );
}

/** List a line of figures for each phase in which the row has calls. */
function listFigures(tree, row) {
  return mapPhases(tree, row, (get) => {
    const times = [
      get("total"),
      get("self"),
      get("calls") ? get("total") / get("calls") : null,
      ...["min", "p50", "p99", "max"].map(get),
    ];
    const cells = times.map((ns) =>
      el("span", { text: formatDuration(ns), title: formatExact(ns) }),
    );
    return [formatCount(get("calls")), ...cells];
  });
}

/** Return [label, ...cells] for each phase of a row; `makeCells` may return null. */
function mapPhases(tree, row, makeCells) {
  const lines = [];
  for (const figures of tree.figures) {
    const rows = indexByRow(tree, figures);
    if (!rows.has(row)) continue;
    const cells = makeCells((key) => rows.get(key, row));
    const swatch = figures.all ? null : makeSwatch(figures.phase);
    const label = el("span", {}, swatch, makeName(formatPhase(figures), 40));
    if (cells) lines.push([label, ...cells]);
  }
  return lines;
}

function makeDeviceTable(tree, row) {
  if (!tree.device_ns) return null;
  const lines = mapPhases(tree, row, (get) => {
    if (get("device") === null) return null;
    const times = ["device", "device_self", "backward", "communication"].map(get);
    const bases = Object.entries(get("bases"))
      .map(([basis, ns]) => `${BASIS_WORDS[basis] ?? basis} ${formatDuration(ns)}`)
      .join(", ");
    return [
      formatCount(get("kernels")),
      ...times.map((ns) => el("span", { text: formatDuration(ns), title: formatExact(ns) })),
      makeName(get("top"), 60),
      bases,
    ];
  });
  return lines.length ? makePlainTable("Device time by phase", DEVICE_HEADINGS, lines) : null;
}

/** Make a table of what limits a module. */
function makeFigureTable(tree, row) {
  if (!tree.device_ns || !tree.device_figures.length) return null;
  const titles = tree.device_figures.map(({ title }) => title);
  const lines = mapPhases(tree, row, (get) => {
    if (get("device") === null) return null;
    return tree.device_figures.map(({ key, unit, hint }) =>
      el("span", { text: formatFigure(key, unit, get), title: hint }),
    );
  });
  return lines.length ? makePlainTable("What limits it", ["phase", ...titles], lines) : null;
}

/** Say in words which calls ran in compiled code, and which kernels the module shares. */
function describeCode(tree, row) {
  const lines = [];
  const [, compiledCalls, calls] = tree.compiled.find(([entry]) => entry === row) ?? [];
  if (compiledCalls) {
    const all = `All ${formatCount(calls)} calls`;
    const some = `${formatCount(compiledCalls)} of ${formatCount(calls)} calls`;
    lines.push(`${compiledCalls >= calls ? all : some} ran in compiled code.`);
  }
  const [, kernels] = tree.shared.find(([entry]) => entry === row) ?? [];
  if (kernels) {
    const nouns = kernels.length === 1 ? "a compiled kernel" : "compiled kernels";
    const own = modulesHaveCalls(tree, row) ? "" : " and has no time of its own";
    lines.push(`It shares ${nouns} with other modules${own}: ${kernels.join(", ")}.`);
  }
  return lines.map((line) => el("p", {}, makeName(line, 2000)));
}

function modulesHaveCalls(tree, row) {
  return Boolean(indexByRow(tree, tree.figures[0]).get("calls", row));
}

/** Return a word for the code of a row, for the table; "" for a module that ran as written. */
function nameCode(tree, row) {
  if (tree.codeOfRow === undefined) {
    tree.codeOfRow = new Map(tree.shared.map(([entry]) => [entry, "shares kernels"]));
    for (const [entry] of tree.compiled) tree.codeOfRow.set(entry, "compiled");
  }
  return tree.codeOfRow.get(row) ?? "";
}

/** Make a line about the longest call of a row in the steps of the page, with a link to it. */
function makeStepLink(modules, row) {
  const call = stepsSection?.findLongestCall(
    data.groups[modules.groupIndex].process,
    makeNameTest(modules.tree, row),
  );
  if (!call) return null;
  const kind = data.steps.kinds[data.steps.kind[call.step]];
  const of = countNoun(data.excerpts.items.length, "step");
  const text = `Its longest call in the ${of} of this page took ${formatDuration(call.duration)}: `;
  const label = `${formatStepName(call.step)} (${kind})`;
  const on = { click: () => stepsSection.showCall(call) };
  return el("p", {}, text, el("button", { type: "button", class: "link", text: label, on }));
}

/** Return a function that says whether a name of an excerpt, [title, class, domain], is a row's. */
function makeNameTest(tree, row) {
  const classes = new Set(tree.classes[row].replace(" (compiled)", "").split(" | "));
  const isRoot = tree.parents[row] < 0 && tree.paths[row] === tree.labels[row];
  const path = tree.paths[row];
  const patterns = [makePathPattern(path)];
  // Of several roots, each path begins with its root.
  const root = path.slice(0, Math.max(0, path.indexOf(".")));
  if (tree.modules && root) patterns.push(makePathPattern(path.slice(root.length + 1)));
  return ([title, cls, domain]) => {
    if (domain !== tree.domain) return false;
    if (!tree.modules) return title === path;
    if (!classes.has(cls) && cls !== "OptimizedModule") return false; // torch.compile's wrapper
    if (isRoot && (title === cls || title.endsWith(`:${cls}`))) return true;
    return patterns.some((pattern) => pattern.test(title));
  };
}

/** Return a pattern for a path such as "layers.[0-3,7].mlp". */
function makePathPattern(path) {
  const source = path
    .replace(/[.*+?^${}()|\\]/g, "\\$&")
    .replace(/\[([\d,-]+)\]/g, (_, numbers) => {
      const choices = numbers.split(",").flatMap((run) => {
        const [low, high = low] = run.split("-").map(Number);
        return Array.from({ length: high - low + 1 }, (_, index) => low + index);
      });
      return `(?:${choices.join("|")})`;
    });
  return new RegExp(`^${source}$`);
}
