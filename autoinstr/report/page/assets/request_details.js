// The details of a selected request: how its time divides, and its steps, which are marked above.

const SPLIT_PARTS = [
  ["queue", "phase-4", "waits in the engine's queue"],
  ["prefill", "phase-prefill", "from its first step to its first token"],
  ["decode", "phase-decode", "from its first token to its end in the engine"],
];

function inspectRequest(requests, row) {
  const { columns } = requests;
  const steps = listRequestSteps(columns.steps?.[row]);
  markRequestSteps(columns.name[row], steps);
  return el(
    "div",
    {},
    el("div", { class: "path" }, makeName(columns.name[row], 400)),
    ...makeSplit(requests, row),
    ...describeRequestSteps(columns.steps?.[row], steps),
  );
}

/** Return the steps of the page in which a request took part. */
function listRequestSteps(runs) {
  if (!runs || !stepsSection) return [];
  const steps = [];
  for (let index = 0; index < runs.length; index += 2) {
    for (let step = runs[index]; step <= runs[index + 1]; step++) {
      const pageStep = stepsSection.toPageStep(step);
      if (pageStep >= 0) steps.push(pageStep);
    }
  }
  return steps;
}

function markRequestSteps(name, steps) {
  const text = `The ${countNoun(steps.length, "step")} of request ${truncate(name, 80)}: marked blue.`;
  stepsSection?.mark(new Set(steps), text);
}

/** Make a bar and a legend of the parts of a request's time. */
function makeSplit(requests, row) {
  const { columns } = requests;
  const all = columns.e2e?.[row] ?? null;
  const parts = SPLIT_PARTS.map(([key, token, hint]) => {
    return { label: key, ns: columns[key]?.[row] ?? null, token, hint };
  }).filter(({ ns }) => ns !== null && ns >= 0);
  if (!parts.length) return [];
  const sum = parts.reduce((total, { ns }) => total + ns, 0);
  if (all !== null && all > sum) {
    const hint = "before the engine's queue and after the engine's last token";
    parts.push({ label: "front end", ns: all - sum, token: "strong", hint });
  }
  const total = Math.max(1, all ?? 0, sum);
  const bar = el("div", { class: "stack", "aria-hidden": "true" });
  const legend = el("ul", { class: "legend split", "aria-label": "How its time divides" });
  for (const { label, ns, token, hint } of parts) {
    const segment = el("span");
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    segment.style.width = `${(100 * ns) / total}%`;
    segment.style.background = swatch.style.background = `var(--${token})`;
    bar.append(segment);
    const text = ` ${formatDuration(ns)} (${formatPercent(ns / total)})`;
    legend.append(el("li", { title: hint }, swatch, label, el("b", { text })));
  }
  return [bar, legend];
}

/** Say in which steps a request took part, with a link to the slowest. */
function describeRequestSteps(runs, steps) {
  if (!runs) return [el("p", { class: "muted", text: "Its steps are not in this page." })];
  if (!steps.length || !stepsSection) return [];
  const { duration, kind, kinds } = data.steps;
  const counts = new Map();
  for (const step of steps) {
    const sum = counts.get(kind[step]) ?? { count: 0, ns: 0 };
    sum.count += 1;
    sum.ns += duration[step] ?? 0;
    counts.set(kind[step], sum);
  }
  const parts = [...counts]
    .sort(([a], [b]) => a - b)
    .map(([index, { count, ns }]) => `${formatCount(count)} ${kinds[index]} (${formatDuration(ns)})`);
  const slowest = steps.reduce((a, b) => ((duration[b] ?? 0) > (duration[a] ?? 0) ? b : a));
  const on = { click: () => stepsSection.showStep(slowest) };
  const text = `${formatStepName(slowest)} (${formatDuration(duration[slowest])})`;
  return [
    el(
      "p",
      {},
      `It took part in ${countNoun(steps.length, "step")}: ${parts.join(", ")}. The slowest is `,
      el("button", { type: "button", class: "link", text, on }),
      ".",
    ),
  ];
}
