// Steps of the two runs, and the layers that changed differently from their list.

const MAX_CARDS = 12;
const MAX_ENTRIES = 50;

function makeStepsNote(steps) {
  const kinds = [...new Set(SIDES.flatMap(([key]) => steps[key].step ?? []).filter(Boolean))];
  const nouns = kinds.map((kind) => (/^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`));
  return `a step is ${nouns.join(" or ")}; times are medians of one process`;
}

function makeDiffCard(steps, row) {
  const [before, after] = SIDES.map(([key]) => steps[key].step_ns?.[row] ?? null);
  const scope = [steps.role[row], steps.domain[row], steps.phase[row]].filter(Boolean).join(" · ");
  const onlyOne = Boolean(steps.only_in[row]);
  const result = describeResult(steps, row);
  return el(
    "div",
    { class: "card" },
    el("h3", {}, makeName(steps.path[row] || `all of ${steps.domain[row]}`, 60)),
    el("div", { class: "muted" }, makeName(scope, 80)),
    el(
      "div",
      { class: `figure ${getTone(steps, row)}` },
      onlyOne ? result : formatChange(steps.ratio[row]),
      el("small", { text: onlyOne ? "" : result }),
    ),
    el(
      "div",
      { class: "line" },
      el("span", { text: "step" }),
      el("b", { text: `${formatDuration(before)} → ${formatDuration(after)}` }),
    ),
    el(
      "div",
      { class: "line" },
      el("span", { text: "95 % CI" }),
      el("b", { text: formatInterval(steps, row) || NO_VALUE }),
    ),
  );
}

function drawDiffSteps() {
  const steps = data.steps;
  if (!steps.count) return;
  const section = addSection("steps", "Steps");
  addNote(section, makeStepsNote(steps));
  const cards = el("div", { class: "cards" });
  for (let row = 0; row < Math.min(steps.count, MAX_CARDS); row++)
    cards.append(makeDiffCard(steps, row));
  section.append(cards);
  if (steps.count > MAX_CARDS) {
    const text = `and ${formatCount(steps.count - MAX_CARDS)} more, in the table below`;
    section.append(el("p", { class: "empty", text }));
  }
}

/** List the outlier layers. `show(row)` goes to the list of a layer. */
function drawOutliers(show) {
  const { entries } = data;
  if (!entries.count) return;
  const section = addSection("entries", "Outlier layers");
  addNote(section, "layers that changed differently from the other layers of their list");
  const rows = Array.from({ length: entries.count }, (_, row) => row);
  rows.sort((a, b) => Math.abs(entries.difference_ns[b]) - Math.abs(entries.difference_ns[a]));
  const items = rows.slice(0, MAX_ENTRIES).map((row) => {
    const change = el("span", {
      class: getTone(entries, row),
      text: formatChange(entries.ratio[row]),
    });
    const phase = entries.phase[row] ? ` in ${entries.phase[row]}` : "";
    const [before, after] = SIDES.map(([key]) => formatDuration(entries[key].step_ns[row]));
    const times = `: ${before} → ${after} a step`;
    const label = `Show the list of ${truncate(entries.path[row], 60)}`;
    const on = { click: () => show(entries.parent[row]) };
    return el(
      "li",
      {},
      el("span", { class: "kind" }, change),
      el("span", { class: "words" }, makeName(entries.path[row]), phase, times),
      el("button", { type: "button", text: "Show", "aria-label": label, on }),
    );
  });
  section.append(el("ul", { class: "findings" }, ...items));
  if (entries.count > MAX_ENTRIES) {
    const text = `and ${formatCount(entries.count - MAX_ENTRIES)} more, in --format json`;
    section.append(el("p", { class: "empty", text }));
  }
}
