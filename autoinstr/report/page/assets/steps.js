// The section of the steps: the strip, the step that is chosen, its flame view and, as a table, its ranges by name.

/** "step 12", by its number in the run. */
function stepName(at) {
  const { index, sort } = data.steps;
  return `${sort === "call" ? "call" : "step"} ${count((index ? index[at] : at) + (sort === "optimizer" ? 1 : 0))}`;
}

function drawSteps() {
  const steps = data.steps;
  if (!steps.duration.length) return;
  const title = { engine: "Steps", optimizer: "Optimizer steps", call: "Outermost calls" }[steps.sort];
  const place = steps.index ? new Map(steps.index.map((step, at) => [step, at])) : null;
  const here = (step) => (place ? (place.get(step) ?? -1) : step);
  const held = new Map(data.excerpts.items.map((item) => [here(item.step), item]));
  const made = section("steps", title);
  const note = el("span", { class: "note" });
  made.querySelector(".head").append(note);
  const legend = el("div", { class: "legend" });
  for (const kind of steps.kinds) legend.append(el("span", {}, swatch(kind), name(kind, 60)));
  const chips = el("div", { class: "chips", role: "group", "aria-label": "Steps worth a look" });
  const strip = new Strip(made, steps, held, (at) => choose(at));
  made.append(el("div", { class: "toolbar" }, legend, el("span", { class: "end" }, strip.scale)), chips);
  const about = el("div", { class: "stepline", role: "status" });
  made.append(about);
  const flame = new Flame(made);
  const missing = el("p", { class: "empty", hidden: true });
  const details = el("details", { class: "asTable" }, el("summary", { text: "The ranges of this step as a table" }));
  made.append(missing, details);
  const partly = new Set(steps.partly);
  let table = null;
  let rows = [];
  let shown = null;

  const left = steps.of - steps.duration.length;
  const saySteps = () => {
    const words = [counted(steps.of, steps.sort === "call" ? "call" : "step"), strip.said];
    if (left > 0) words.push(`of each ${count(Math.ceil(steps.of / steps.duration.length))} that follow one another only the slowest is in this page`);
    if (held.size < steps.duration.length) words.push(`a dot below: its ranges are in this page (${count(held.size)})`);
    note.textContent = words.join("; ");
  };
  saySteps();
  new ResizeObserver(saySteps).observe(made);

  for (const item of data.excerpts.items.filter((one) => one.reason)) {
    const at = here(item.step);
    const button = el("button", { type: "button", "aria-pressed": "false", on: { click: () => choose(at) } }, swatch(steps.kinds[steps.kind[at]]), name(item.reason, 70), ` · ${duration(steps.duration[at])}`);
    button.dataset.step = at;
    chips.append(button);
  }

  details.addEventListener("toggle", () => details.open && shown && fillTable());

  function fillTable() {
    rows = byName(shown, data.excerpts.names);
    if (table) return table.reset(rows.length);
    const figure = (key, title, text, width) => ({ key, title, kind: "number", width, value: (at) => rows[at][key], text: (at) => text(rows[at][key]) });
    const words = (key, title, more) => ({ key, title, ...more, value: (at) => rows[at][key], text: (at) => rows[at][key] });
    table = new Table(details, {
      label: "Ranges of the step by name",
      rows: rows.length,
      sort: { key: "total", descending: true },
      columns: [
        words("title", "Range", { kind: "name" }),
        words("cls", "Class", { kind: "text", width: "22ch", drop: 1 }),
        words("where", "Where", { kind: "text", width: "30ch", drop: 2 }),
        figure("calls", "Calls", count, "8ch"),
        figure("total", "Total", duration, "11ch"),
        figure("own", "Self", duration, "11ch"),
      ],
    });
  }

  function choose(at) {
    const kind = steps.kinds[steps.kind[at]];
    const item = held.get(at);
    const length = steps.duration[at];
    strip.show(at, `${stepName(at)} of ${count(steps.of)}, ${kind}, ${duration(length)}${item ? "" : ", its ranges are not in this page"}`);
    for (const button of chips.children) button.setAttribute("aria-pressed", String(Number(button.dataset.step) === at));
    about.replaceChildren(...stepWords(at));
    shown = item ?? null;
    flame.element.hidden = details.hidden = !item;
    missing.hidden = Boolean(item);
    if (item) {
      flame.show(item, length, data.excerpts.names);
      if (details.open) fillTable();
    } else {
      const nearest = [...held.keys()].sort((a, b) => Math.abs(a - at) - Math.abs(b - at))[0];
      missing.textContent = `The ranges of this step are not in this page, which has those of ${counted(held.size, "step")}; the timeline has all: autoinstr report … --format pftrace. `;
      if (nearest !== undefined) missing.append(el("button", { type: "button", text: `Nearest that is: ${stepName(nearest)}`, on: { click: () => choose(nearest) } }));
    }
  }

  /** What is known of a step beside its ranges. */
  function stepWords(at) {
    const item = held.get(at);
    const words = [el("strong", {}, swatch(steps.kinds[steps.kind[at]]), `${stepName(at)} · `, name(steps.kinds[steps.kind[at]], 60), ` · ${duration(steps.duration[at])}`)];
    const say = (label, value) => words.push(el("span", {}, `${label} `, el("b", { text: value })));
    say("at", `+${duration(Math.max(0, steps.start[at]))}`);
    const value = (key) => steps[key]?.[at] ?? null;
    if (value("tokens") !== null) say("tokens", count(value("tokens")));
    if (value("requests") !== null) say("batch", `${count(value("requests"))}${value("prefills") ? ` (${count(value("prefills"))} in their prompt)` : ""}`);
    if (value("running") !== null) say("running · waiting", `${count(value("running"))} · ${count(value("waiting"))}`);
    if (value("kv_usage") !== null) say("KV cache", percent(value("kv_usage")));
    for (const part of PARTS) if (value(`${part}_ns`) !== null) say(part, duration(value(`${part}_ns`)));
    if (value("gap_ns")) say("gap before", duration(value("gap_ns")));
    if (partly.has(at)) words.push(el("span", { class: "bad", text: "as far as its parts were seen" }));
    if (steps.never_ended && at === steps.duration.length - 1) words.push(el("span", { class: "bad", text: "it never ended: this is up to the last thing recorded" }));
    if (item?.left_out) words.push(el("span", { class: "bad", text: `${counted(item.left_out, "short range")} of this step not in this page` }));
    const others = data.processes.length - data.excerpts.processes.length;
    if (item && others > 0) words.push(el("span", { class: "muted", text: `ranges of ${count(data.excerpts.processes.length)} of ${count(data.processes.length)} processes` }));
    return words;
  }

  // A program that serves nobody warms up in its slowest step: the middle one says more.
  const items = data.excerpts.items;
  const first = items.find((item) => steps.sort !== "engine" && !steps.never_ended && item.reason.includes("median")) ?? items[0];
  choose(first ? here(first.step) : 0);
}

/** The ranges of an excerpt, added up by name and thread. */
function byName(item, names) {
  const found = new Map();
  const { boxes } = layOut(item, 0);
  for (const box of boxes) {
    const lane = item.lanes[box.lane];
    const which = lane.name[box.at];
    const key = `${which} ${box.lane}`;
    if (!found.has(key)) found.set(key, { title: names[which][0], cls: names[which][1] || names[which][2], where: `${data.processes[lane.process].label} · ${lane.thread}`, calls: 0, total: 0, own: 0 });
    const row = found.get(key);
    row.calls += 1;
    row.total += box.end - box.start;
    row.own += box.own;
  }
  return [...found.values()];
}
