// The facts of a step, in a line above its flame view.

/** List the facts of a step. `item` has its ranges, or is null. */
function listStepFacts(step, item) {
  const { steps, excerpts, processes } = data;
  const kind = steps.kinds[steps.kind[step]];
  const heading = el(
    "strong",
    {},
    makeSwatch(kind),
    `${formatStepName(step)} · `,
    makeName(kind, 60),
    ` · ${formatDuration(steps.duration[step])}`,
  );
  const facts = [heading];
  const add = (label, text) => facts.push(el("span", {}, `${label} `, el("b", { text })));
  const warn = (text) => facts.push(el("span", { class: "bad", text }));
  const get = (key) => steps[key]?.[step] ?? null;
  add("starts at", `+${formatDuration(Math.max(0, steps.start[step]))}`);
  if (get("tokens") !== null) add("tokens", formatCount(get("tokens")));
  if (get("requests") !== null) {
    const prefills = get("prefills") ? ` (${formatCount(get("prefills"))} in prefill)` : "";
    add("batch", `${formatCount(get("requests"))}${prefills}`);
  }
  if (get("running") !== null)
    add("running · waiting", `${formatCount(get("running"))} · ${formatCount(get("waiting"))}`);
  if (get("kv_usage") !== null) add("KV cache", formatPercent(get("kv_usage")));
  for (const part of STEP_PARTS)
    if (get(`${part}_ns`) !== null) add(part, formatDuration(get(`${part}_ns`)));
  if (get("gap_ns")) add("gap before", formatDuration(get("gap_ns")));
  if (steps.partly.includes(step)) warn("incomplete: the sum of its recorded parts");
  if (steps.never_ended && step === steps.duration.length - 1)
    warn("never ended: shown up to the last recorded time");
  if (item?.left_out)
    warn(`${countNoun(item.left_out, "short range")} of this step not in this page`);
  if (item && processes.length > excerpts.processes.length) {
    const shownCount = formatCount(excerpts.processes.length);
    const text = `ranges of ${shownCount} of ${formatCount(processes.length)} processes`;
    facts.push(el("span", { class: "muted", text }));
  }
  return facts;
}
