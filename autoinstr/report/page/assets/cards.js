// A card for each phase or kind of step, and one for the requests.

const STEP_PARTS = ["schedule", "execute", "sample", "update"];
const REST_LABEL = "the rest"; // of a step, outside its recorded parts
const PART_TOKENS = ["phase-4", "phase-decode", "phase-1", "phase-3"];

function makeCardLine(label, value) {
  return el("div", { class: "line" }, el("span", { text: label }), el("b", { text: value }));
}

/** Show how the mean step divides into its recorded parts. */
function makePartsBar(card) {
  const parts = (card.parts ?? [])
    .map((ns, index) => ({ label: STEP_PARTS[index], ns, token: PART_TOKENS[index] }))
    .filter((part) => part.ns);
  const sum = parts.reduce((total, part) => total + part.ns, 0);
  const stepTime = Math.max(card.mean ?? 0, sum);
  if (!parts.length || !stepTime) return [];
  parts.push({ label: REST_LABEL, ns: Math.max(0, stepTime - sum), token: "strong" });
  const partTexts = parts.map(({ label, ns }) => `${label} ${formatDuration(ns)}`);
  const description = `Mean step: ${partTexts.join(", ")}`;
  const bar = el("div", {
    class: "stack",
    role: "img",
    "aria-label": description,
    title: description,
  });
  const legend = el("div", { class: "parts", "aria-hidden": "true" });
  parts.forEach(({ label, ns, token }) => {
    const segment = el("span");
    segment.style.width = `${(100 * ns) / stepTime}%`;
    segment.style.background = `var(--${token})`;
    bar.append(segment);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = `var(--${token})`;
    legend.append(
      el(
        "div",
        { class: "line" },
        el("span", {}, swatch, label),
        el("b", { text: formatDuration(ns) }),
      ),
    );
  });
  return [bar, legend];
}

function makeHistogram(card) {
  if (!card.bars) return null;
  const { canvas } = makeChart(
    () => 30,
    (context, width, height) => {
      const largest = Math.max(...card.bars);
      const barWidth = width / card.bars.length;
      context.fillStyle = getColor(getPhaseToken(card.kind));
      card.bars.forEach((stepCount, index) => {
        const barHeight = stepCount ? Math.max(2, (stepCount / largest) * height) : 0;
        context.fillRect(
          index * barWidth,
          height - barHeight,
          Math.max(1, barWidth - 1),
          barHeight,
        );
      });
    },
  );
  const [low, high] = [formatDuration(card.low), formatDuration(card.high)];
  const description = `Histogram of ${countNoun(card.steps, "duration")}, from ${low} to ${high}`;
  const scale = el(
    "div",
    { class: "line" },
    el("span", { text: low }),
    card.log ? el("span", { text: "log scale" }) : null,
    el("span", { text: high }),
  );
  return el("div", { role: "img", "aria-label": description, title: description }, canvas, scale);
}

function makeStepCard(card) {
  const { sort } = data.steps;
  const noun = sort === "call" ? "call" : "step";
  const allTime = data.cards.reduce((sum, { total }) => sum + total, 0);
  const share = sort === "engine" && card.total ? formatPercent(card.total / allTime) : null;
  const median = el("small", { text: card.partly ? "median of recorded parts" : `median ${noun}` });
  return el(
    "article",
    { class: "card" },
    el(
      "h3",
      {},
      makeSwatch(card.kind),
      makeName(card.kind, 60),
      el("span", { class: "note", text: countNoun(card.steps, noun) }),
    ),
    el("div", { class: "figure" }, formatDuration(card.p50), median),
    card.mean === null ? null : makeCardLine("mean", formatDuration(card.mean)),
    card.p99 === null ? null : makeCardLine("p99", formatDuration(card.p99)),
    card.batch
      ? makeCardLine(
          "mean batch · tokens",
          `${card.batch.toFixed(1)} · ${card.tokens?.toFixed(1) ?? NO_VALUE}`,
        )
      : null,
    share && makeCardLine("share of step time", share),
    ...makePartsBar(card),
    makeHistogram(card),
  );
}

function makeRequestCard(requests) {
  const states = Object.entries(requests.states).filter(([, requestCount]) => requestCount);
  const stateText = states
    .map(([state, requestCount]) => `${formatCount(requestCount)} ${state}`)
    .join(", ");
  const formatPair = (pair) => (pair ? pair.map(formatDuration).join(" · ") : NO_VALUE);
  const tokens = formatCount(requests.output_tokens);
  const rate = requests.tokens_per_s ? ` · ${formatCount(requests.tokens_per_s)}/s` : "";
  const scope = requests.engine ? " (engine)" : "";
  return el(
    "article",
    { class: "card" },
    el("h3", {}, "requests", el("span", { class: "note", text: stateText })),
    el(
      "div",
      { class: "figure" },
      requests.ttft ? formatDuration(requests.ttft[0]) : NO_VALUE,
      el("small", { text: `median TTFT${scope}` }),
    ),
    el("div", { class: "line" }, el("span"), el("span", { text: "p50 · p99" })),
    makeCardLine("TTFT", formatPair(requests.ttft)),
    makeCardLine("TPOT", formatPair(requests.tpot)),
    makeCardLine("end to end", formatPair(requests.e2e)),
    makeCardLine("output tokens", tokens + rate),
  );
}

function drawCards() {
  if (!data.cards.length && !data.requests) return;
  const titles = { engine: "Phases", optimizer: "Training", call: "Calls" };
  const cards = el("div", { class: "cards" }, ...data.cards.map(makeStepCard));
  if (data.requests) cards.append(makeRequestCard(data.requests));
  addSection("phases", titles[data.steps.sort] ?? "Requests").append(cards);
}
