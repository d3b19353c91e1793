// The processes of the run, and what was instrumented in them, what was left out and why.

function drawProcesses() {
  const made = section("processes", "Processes");
  made.querySelector(".head").append(el("span", { class: "note", text: counted(data.processes.length, "recording") }));
  const rows = data.processes;
  const number = (key, title, width, text, drop) => ({ key, title, kind: "number", width, drop, value: (at) => rows[at][key], text: (at) => text(rows[at][key]) });
  new Table(made, {
    label: "Processes",
    rows: rows.length,
    empty: "no process has left a recording",
    columns: [
      { key: "label", title: "Process", kind: "name", value: (at) => rows[at].label, text: (at) => rows[at].label },
      { key: "host", title: "Host", kind: "text", width: "15ch", drop: 2, value: (at) => rows[at].host, text: (at) => rows[at].host },
      { key: "emitter", title: "Emitter", kind: "text", width: "10ch", drop: 3, value: (at) => rows[at].emitter, text: (at) => rows[at].emitter },
      number("ranges", "Ranges", "12ch", count),
      number("threads", "Threads", "9ch", count, 1),
      number("inside_ns", "Inside ranges", "13ch", duration, 1),
      number("dropped", "Dropped", "9ch", count, 1),
      { key: "state", title: "State", kind: "text", width: "20ch", value: (at) => rows[at].state, text: (at) => rows[at].state },
      { key: "file", title: "File", kind: "text", width: "28ch", drop: 3, value: (at) => rows[at].file, text: (at) => rows[at].file },
    ],
  });
}

const STATUS = { called: "called", wrapped: "wrapped, never called", missing: "missing here" };

function drawInstrumented() {
  if (!data.instrumented.length) return;
  const made = section("instrumented", "What was instrumented");
  for (const one of data.instrumented) made.append(instrumentedCard(one));
  made.append(el("p", { class: "empty", text: "Modules inside compiled regions, scripted code and replayed graphs make no call that could be seen; nothing here can tell how many there were. A function whose module was never imported is not listed." }));
}

function instrumentedCard(one) {
  const labels = one.processes.slice(0, 4).map((at) => data.processes[at].label).join("; ");
  const more = one.processes.length > 4 ? ` and ${count(one.processes.length - 4)} more` : "";
  const options = Object.entries(one.options ?? {}).map(([key, value]) => `${key}=${value}`).join(", ");
  const columns = el("div", { class: "columns" });
  columns.append(el("div", {}, el("h3", { text: "Modules" }), moduleWords(one, options)), targetWords(one));
  return el("article", { class: "card" }, el("h3", {}, name(labels + more, 300)), columns);
}

function moduleWords(one, options) {
  const words = el("div", {}, el("p", {}, `Calls of every module, by the emitter ${cut(one.emitter, 60)}. `));
  if (!one.options) {
    words.append(el("p", { class: "muted", text: "The recording does not say which options were set nor what filters left out: an older version of autoinstr wrote it, or its process was killed at its start." }));
    return words;
  }
  words.append(el("p", {}, "Options: ", options ? name(options, 600) : "all at their defaults", "."));
  if (!one.left_out.length) words.append(el("p", { text: "No class of modules was left out by a filter." }));
  else {
    words.append(el("p", { text: "Left out by filters, each class with the first of it:" }));
    words.append(scrolled("Left out", one.left_out.map(([cls, path, reason]) => [`${cls}${path ? ` (${path})` : ""}`, reason])));
  }
  return words;
}

function targetWords(one) {
  const made = el("div", {}, el("h3", { text: "Functions" }));
  const groups = { called: [], wrapped: [], missing: [] };
  for (const [target, status, near] of one.targets) (groups[status] ?? (groups[status] = [])).push([target, near]);
  if (!one.targets.length) {
    made.append(el("p", { class: "muted", text: one.options ? "No function target was met." : "The recording does not say which functions were wrapped." }));
    return made;
  }
  for (const [status, found] of Object.entries(groups)) {
    if (!found.length) continue;
    const near = ([target, nearest]) => [target, status === "missing" && nearest ? `nearest: ${nearest}` : ""];
    made.append(el("details", {}, el("summary", { text: `${count(found.length)} ${STATUS[status] ?? status}` }), scrolled(STATUS[status] ?? status, found.map(near))));
  }
  return made;
}

function scrolled(label, pairs) {
  return el("ul", { class: "list", tabindex: "0", "aria-label": label }, ...pairs.map(([left, right]) => el("li", {}, name(left, 300), right ? el("span", { class: "end" }, name(right, 200)) : null)));
}
