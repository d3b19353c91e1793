// The head of the page: facts of the run, notes on the figures, and the findings.

const OTHER_PHASE_COLORS = 4; // colors for the program's own phases
const PHASES_WITH_COLOR = ["prefill", "decode", "mixed", "idle", "none"];
const MAX_NOTICES = 12;
const MAX_FINDINGS = 40;

/** Return the color token of a phase or of a kind of step. */
function getPhaseToken(phase) {
  if (phase === null || phase === "unknown") return "phase-none";
  if (PHASES_WITH_COLOR.includes(phase)) return `phase-${phase}`;
  const allPhases = [...new Set([...data.phases, ...data.steps.kinds])];
  const otherPhases = allPhases.filter((other) => !PHASES_WITH_COLOR.includes(other));
  return `phase-${1 + (Math.max(0, otherPhases.indexOf(phase)) % OTHER_PHASE_COLORS)}`;
}

function makeSwatch(phase) {
  const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = `var(--${getPhaseToken(phase)})`;
  return swatch;
}

function makeFact(term, ...values) {
  return el("div", {}, el("dt", { text: term }), el("dd", {}, ...values));
}

/** Say whether all processes ended with a complete recording. */
function describeCompleteness(run) {
  const total = data.processes.length;
  if (run.incomplete)
    return `${formatCount(total - run.incomplete)} of ${formatCount(total)} complete`;
  return data.losses.length ? "no, see below" : "yes";
}

function makeNotice(title, lines, isMinor = false) {
  const items = lines.slice(0, MAX_NOTICES).map((line) => el("li", {}, makeName(line, 600)));
  const hiddenCount = lines.length - items.length;
  const more = hiddenCount ? el("li", { text: `and ${formatCount(hiddenCount)} more` }) : null;
  const attributes = { class: isMinor ? "notice minor" : "notice", role: "note" };
  return el("div", attributes, el("strong", { text: title }), el("ul", {}, ...items, more));
}

function makeFacts(run) {
  const start = run.began_ms && new Date(run.began_ms);
  const startText =
    start && start.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const hosts = run.hosts.slice(0, 4).join(", ") + (run.hosts.length > 4 ? ", …" : "");
  const versions = Object.entries(run.versions)
    .map((entry) => entry.join(" "))
    .join(" · ");
  const completeness = describeCompleteness(run);
  return el(
    "dl",
    { class: "facts" },
    start && makeFact("Recorded", el("time", { datetime: start.toISOString(), text: startText })),
    makeFact("Duration", formatDuration(run.duration_ns)),
    makeFact(
      run.hosts.length > 1 ? `${formatCount(run.hosts.length)} hosts` : "Host",
      el("span", { title: run.platforms.join(", ") }, makeName(hosts || NO_VALUE)),
    ),
    makeFact("Processes", formatCount(data.processes.length)),
    makeFact("Ranges", formatCount(run.ranges)),
    // What another program recorded has neither.
    run.from_profile
      ? null
      : makeFact(
          "Dropped",
          el("span", { class: run.dropped ? "bad" : null, text: formatCount(run.dropped) }),
        ),
    run.from_profile
      ? null
      : makeFact(
          "Estimated overhead",
          run.overhead === null ? NO_VALUE : formatPercent(run.overhead),
          " ",
          el("span", { class: "note", text: "of the time in ranges" }),
        ),
    makeFact(
      "Complete",
      el("span", { class: data.losses.length ? "bad" : null, text: completeness }),
    ),
    run.compiled ? makeFact("Compiled", run.compiled) : null,
    makeFact("Versions", makeName(versions || NO_VALUE)),
  );
}

function drawHead() {
  const { run } = data;
  const main = document.getElementById("main");
  main.append(el("h1", {}, makeName(run.name)));
  if (run.command) {
    const attributes = { class: "command", tabindex: "0", "aria-label": "Command" };
    main.append(el("code", attributes, makeName(run.command, 4200)));
  }
  main.append(makeFacts(run));
  if (data.losses.length) main.append(makeNotice("Lost data", data.losses));
  if (data.notes.length) main.append(makeNotice("Notes on these figures", data.notes, true));
}

/** List the findings. `show(finding)` goes to the row of a finding. */
function drawFindings(show) {
  if (!data.findings.length) return;
  const kinds = { outlier: "layer", first: "first call", rank: "rank", overhead: "overhead" };
  const list = el("ul", { class: "findings" });
  for (const finding of data.findings.slice(0, MAX_FINDINGS)) {
    const label = `Show: ${truncate(finding.words, 80)}`;
    const on = { click: () => show(finding) };
    const button =
      finding.place && el("button", { type: "button", text: "Show", "aria-label": label, on });
    const kind = el("span", { class: "kind", text: kinds[finding.kind] ?? finding.kind });
    const words = el("span", { class: "words" }, makeName(finding.words, 500));
    list.append(el("li", {}, kind, words, button));
  }
  addSection("findings", "Findings").append(list);
}
