// The table of processes, and what was instrumented in them.

const TARGET_STATES = {
  called: "called",
  wrapped: "wrapped, never called",
  missing: "not in the installed version",
};

function drawProcesses() {
  const section = addSection("processes", "Processes");
  addNote(section, countNoun(data.processes.length, "recording"));
  const get = (key) => (row) => data.processes[row][key];
  const text = (key, title, options) => ({
    key,
    title,
    kind: "text",
    ...options,
    value: get(key),
    text: get(key),
  });
  const number = (key, title, width, format, drop) => ({
    key,
    title,
    kind: "number",
    width,
    drop,
    value: get(key),
    text: (row) => format(get(key)(row)),
  });
  new Table(section, {
    label: "Processes",
    rows: data.processes.length,
    empty: "the run has no recordings",
    columns: [
      text("label", "Process", { kind: "name" }),
      text("host", "Host", { width: "15ch", drop: 2 }),
      text("emitter", "Emitter", { width: "10ch", drop: 3 }),
      number("ranges", "Ranges", "12ch", formatCount),
      number("threads", "Threads", "9ch", formatCount, 1),
      number("inside_ns", "Inside ranges", "14ch", formatDuration, 1),
      number("waiting_ns", "Waiting", "10ch", formatDuration, 2),
      number("dropped", "Dropped", "9ch", formatCount, 1),
      text("state", "State", { width: "20ch" }),
      text("file", "File", { width: "28ch", drop: 3 }),
    ],
  });
}

function drawInstrumented() {
  if (!data.instrumented.length) return;
  const section = addSection("instrumented", "Instrumentation");
  section.append(...data.instrumented.map(makeInstrumentedCard));
  section.append(
    el("p", {
      class: "empty",
      text:
        "Calls inside scripted code and replayed graphs cannot be counted. Compiled code has " +
        "ranges for modules with kernels of their own. A function is not listed if its Python module was never imported.",
    }),
  );
}

function makeInstrumentedCard(entry) {
  const labels = entry.processes
    .slice(0, 4)
    .map((index) => data.processes[index].label)
    .join("; ");
  const hiddenCount = entry.processes.length - 4;
  const more = hiddenCount > 0 ? ` and ${formatCount(hiddenCount)} more` : "";
  const modules = el("div", {}, el("h3", { text: "Modules" }), describeModules(entry));
  const columns = el("div", { class: "columns" }, modules, describeTargets(entry));
  return el("article", { class: "card" }, el("h3", {}, makeName(labels + more, 300)), columns);
}

const PROFILE_KINDS = ["kineto", "ascend"]; // a profile that was given without a recording

function describeSource(emitter) {
  if (PROFILE_KINDS.includes(emitter)) return "Every module range of the profile.";
  return `Every module call, written by the emitter ${truncate(emitter, 60)}.`;
}

function describeModules(entry) {
  const description = el(
    "div",
    {},
    el("p", { text: describeSource(entry.emitter) }),
  );
  if (!entry.options) {
    description.append(
      el("p", {
        class: "muted",
        text:
          "The recording does not contain the options, nor what filters left out. An older " +
          "version of autoinstr wrote it, or its process was killed at its start.",
      }),
    );
    return description;
  }
  const options = Object.entries(entry.options)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
  description.append(
    el(
      "p",
      {},
      "Options: ",
      options ? makeName(options, 600) : "all have their default values",
      ".",
    ),
  );
  if (!entry.left_out.length) {
    description.append(el("p", { text: "The filters left out no module class." }));
    return description;
  }
  const rows = entry.left_out.map(([cls, path, reason]) => [
    `${cls}${path ? ` (${path})` : ""}`,
    reason,
  ]);
  description.append(
    el("p", { text: "Module classes that filters left out, each with its first module:" }),
  );
  description.append(makeScrolledList("Left out", rows));
  return description;
}

function describeTargets(entry) {
  const description = el("div", {}, el("h3", { text: "Functions" }));
  if (!entry.targets.length) {
    const text = entry.options
      ? "No function target was found."
      : "The recording does not say which functions were wrapped.";
    description.append(el("p", { class: "muted", text }));
    return description;
  }
  const rowsOfState = { called: [], wrapped: [], missing: [] };
  for (const [target, state, nearest] of entry.targets) {
    const hint = state === "missing" && nearest ? `nearest name: ${nearest}` : "";
    (rowsOfState[state] ??= []).push([target, hint]);
  }
  for (const [state, rows] of Object.entries(rowsOfState)) {
    if (!rows.length) continue;
    const label = TARGET_STATES[state] ?? state;
    const summary = el("summary", { text: `${formatCount(rows.length)} ${label}` });
    description.append(el("details", {}, summary, makeScrolledList(label, rows)));
  }
  return description;
}

/** Make a scrollable list of two texts a line. */
function makeScrolledList(label, rows) {
  const items = rows.map(([left, right]) =>
    el(
      "li",
      {},
      makeName(left, 300),
      right ? el("span", { class: "end" }, makeName(right, 200)) : null,
    ),
  );
  return el("ul", { class: "list", tabindex: "0", "aria-label": label }, ...items);
}
