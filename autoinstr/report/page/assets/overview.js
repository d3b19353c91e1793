// The head of the page: the run, what to know before believing it, its phases and what stands out.

const OTHER_PHASES = 4; // colours for phases of the program's own
const NAMED_PHASES = ["prefill", "decode", "mixed", "idle", "none"];

/** The colour token of a phase, or of a kind of steps. */
function phaseToken(phase) {
  if (phase === null || phase === "unknown") return "phase-none";
  if (NAMED_PHASES.includes(phase)) return `phase-${phase}`;
  const others = [...new Set([...data.phases, ...data.steps.kinds])].filter((one) => !NAMED_PHASES.includes(one));
  return `phase-${1 + (Math.max(0, others.indexOf(phase)) % OTHER_PHASES)}`;
}

function swatch(phase) {
  const mark = el("span", { class: "swatch", "aria-hidden": "true" });
  mark.style.background = `var(--${phaseToken(phase)})`;
  return mark;
}

function fact(term, ...words) {
  return el("div", {}, el("dt", { text: term }), el("dd", {}, ...words));
}

/** Who ran what, where and when. */
function drawHead() {
  const run = data.run;
  const main = document.getElementById("main");
  const when = run.began_ms && new Date(run.began_ms);
  const several = data.processes.length;
  const whole = !run.incomplete && !run.unread && !run.dropped;
  const missing = run.incomplete ? `${count(run.incomplete)} of ${counted(several, "process", "processes")} not` : "see below";
  const facts = el(
    "dl",
    { class: "facts" },
    when && fact("Recorded", el("time", { datetime: when.toISOString(), text: when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) })),
    fact("Duration", duration(run.duration_ns)),
    fact(run.hosts.length > 1 ? `${count(run.hosts.length)} hosts` : "Host", el("span", { title: run.platforms.join(", ") }, name(run.hosts.slice(0, 4).join(", ") + (run.hosts.length > 4 ? ", …" : "") || NOTHING))),
    fact("Processes", count(several)),
    fact("Ranges", count(run.ranges)),
    fact("Dropped", el("span", { class: run.dropped ? "bad" : null, text: count(run.dropped) })),
    fact("Overhead (estimated)", run.overhead === null ? NOTHING : percent(run.overhead), " ", el("span", { class: "note", text: "of time in ranges" })),
    fact("Complete", whole ? "yes" : el("span", { class: "bad", text: missing })),
    fact("Versions", name(Object.entries(run.versions).map((one) => one.join(" ")).join(" · ") || NOTHING)),
  );
  main.append(el("h1", {}, name(run.name)));
  if (run.command) main.append(el("code", { class: "command", tabindex: "0", "aria-label": "Command" }, name(run.command, 4200)));
  main.append(facts);
  if (data.notices.length) {
    const shown = data.notices.slice(0, 12);
    const more = data.notices.length > shown.length ? el("li", { text: `and ${count(data.notices.length - shown.length)} more` }) : null;
    main.append(el("div", { class: whole ? "notice calm" : "notice", role: "note" }, el("strong", { text: "Before believing the figures" }), el("ul", {}, ...shown.map((line) => el("li", {}, name(line, 600))), more)));
  }
}

const PARTS = ["schedule", "execute", "sample", "update"];
const PART_TOKENS = ["phase-4", "phase-decode", "phase-1", "phase-3"];

function line(label, value) {
  return el("div", { class: "line" }, el("span", { text: label }), el("b", { text: value }));
}

/** How the time of a mean step is made up, as far as its parts were seen. */
function partsBar(card) {
  const known = (card.parts ?? []).map((ns, at) => [PARTS[at], ns, PART_TOKENS[at]]).filter((one) => one[1]);
  const sum = known.reduce((total, one) => total + one[1], 0);
  const all = Math.max(card.mean ?? 0, sum);
  if (!known.length || !all) return [];
  if (card.mean && card.mean > sum) known.push(["the rest", card.mean - sum, null]);
  const words = known.map(([part, ns]) => `${part} ${duration(ns)}`).join(", ");
  const bar = el("div", { class: "stack", role: "img", "aria-label": `A mean step: ${words}`, title: words });
  for (const [, ns, token] of known) {
    const piece = el("span");
    piece.style.width = `${(100 * ns) / all}%`;
    if (token) piece.style.background = `var(--${token})`;
    bar.append(piece);
  }
  const legend = el("div", { class: "parts", "aria-hidden": "true" });
  for (const [part, ns, token] of known.slice(0, 4)) {
    const mark = el("span", { class: "swatch" });
    if (token) mark.style.background = `var(--${token})`;
    legend.append(el("div", { class: "line" }, el("span", {}, mark, part), el("b", { text: duration(ns) })));
  }
  return [bar, legend];
}

function histogram(card) {
  if (!card.bars) return null;
  const { canvas } = chart(
    () => 30,
    (context, width, height) => {
      const most = Math.max(...card.bars);
      const step = width / card.bars.length;
      context.fillStyle = color(phaseToken(card.kind));
      card.bars.forEach((bar, at) => {
        const tall = bar ? Math.max(2, (bar / most) * height) : 0;
        context.fillRect(at * step, height - tall, Math.max(1, step - 1), tall);
      });
    },
  );
  const words = `How long ${counted(card.steps, "step")} took: from ${duration(card.low)} to ${duration(card.high)}`;
  const scale = el("div", { class: "line" }, el("span", { text: duration(card.low) }), card.log ? el("span", { text: "log" }) : null, el("span", { text: duration(card.high) }));
  return el("div", { role: "img", "aria-label": words, title: words }, canvas, scale);
}

function drawCards() {
  if (!data.cards.length && !data.requests) return;
  const sort = { engine: "Phases", optimizer: "Training", call: "Calls" }[data.steps.sort] ?? "Requests";
  const cards = el("div", { class: "cards" });
  for (const card of data.cards) {
    const share = data.steps.sort === "engine" && card.total ? percent(card.total / data.cards.reduce((sum, one) => sum + one.total, 0)) : null;
    const noun = data.steps.sort === "call" ? "call" : "step";
    cards.append(
      el(
        "article",
        { class: "card" },
        el("h3", {}, swatch(card.kind), name(card.kind, 60), el("span", { class: "note", text: counted(card.steps, noun) })),
        el("div", { class: "figure" }, duration(card.p50), el("small", { text: card.partly ? "median of its parts" : `median ${noun}` })),
        card.mean === null ? null : line("mean", duration(card.mean)),
        card.p99 === null ? null : line("p99", duration(card.p99)),
        card.batch ? line("batch · tokens", `${card.batch.toFixed(1)} · ${card.tokens?.toFixed(1) ?? NOTHING}`) : null,
        share && line("of the time in steps", share),
        ...partsBar(card),
        histogram(card),
      ),
    );
  }
  if (data.requests) cards.append(requestCard(data.requests));
  section("phases", sort).append(cards);
}

function requestCard(requests) {
  const states = Object.entries(requests.states).filter((one) => one[1]);
  const pair = (figures) => (figures ? `${duration(figures[0])} · ${duration(figures[1])}` : NOTHING);
  const where = requests.engine ? " (in the engine)" : "";
  return el(
    "article",
    { class: "card" },
    el("h3", {}, "requests", el("span", { class: "note", text: states.map(([state, many]) => `${count(many)} ${state}`).join(", ") })),
    el("div", { class: "figure" }, requests.ttft ? duration(requests.ttft[0]) : NOTHING, el("small", { text: `median TTFT${where}` })),
    el("div", { class: "line" }, el("span"), el("span", { text: "p50 · p99" })),
    line("TTFT", pair(requests.ttft)),
    line("TPOT", pair(requests.tpot)),
    line("end to end", pair(requests.e2e)),
    line("output tokens", requests.tokens_per_s ? `${count(requests.output_tokens)} · ${count(requests.tokens_per_s)}/s` : count(requests.output_tokens)),
  );
}

/** What stands out, with a way to the row that it speaks of: `show(finding)` goes there. */
function drawFindings(show) {
  if (!data.findings.length) return;
  const list = el("ul", { class: "findings" });
  for (const finding of data.findings.slice(0, 40)) {
    const go = finding.place && el("button", { type: "button", text: "Show", "aria-label": `Show: ${cut(finding.words, 80)}`, on: { click: () => show(finding) } });
    const kind = { outlier: "layer", rank: "rank", overhead: "overhead" }[finding.kind] ?? finding.kind;
    list.append(el("li", {}, el("span", { class: "kind", text: kind }), el("span", { class: "words" }, name(finding.words, 500)), go));
  }
  section("findings", "What stands out").append(list);
}
