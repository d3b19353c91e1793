// The head of a comparison: the two runs, what differs beside their times, whole steps, and what stands out.

const SIDES = [
  ["a", "A", "what was"],
  ["b", "B", "what is"],
];
const WORDS = { slower: "slower", faster: "faster", alike: "no difference shown", untold: "not told" };
const MOST_CARDS = 12;
const MOST_ENTRIES = 50;

/** "+12.3 %" for a ratio of 1.123; "12.3 ×" from ten on. */
function change(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 10) return `${value < 99.95 ? value.toFixed(1) : count(value)} ×`;
  return `${value < 1 ? "−" : "+"}${(100 * Math.abs(value - 1)).toFixed(1)} %`;
}

/** What is said of a line, in a word or two. */
function said(lines, row) {
  if (lines.only_in[row]) return `only ${lines.only_in[row].toUpperCase()}`;
  return lines.why[row] ?? WORDS[lines.change[row]] ?? "";
}

function tone(lines, row) {
  return { slower: "bad", faster: "good" }[lines.change[row]] ?? "muted";
}

/** The interval of a line in words; nothing where it tells nothing. */
function interval(lines, row) {
  return lines.low[row] === null || lines.change[row] === "untold" ? "" : `${change(lines.low[row])} … ${change(lines.high[row])}`;
}

function sideFacts([key, word, hint]) {
  const side = data[key];
  const hosts = [...new Set(side.processes.map((one) => one.host))];
  const versions = Object.entries(side.versions).map((one) => one.join(" "));
  const facts = [
    ["Processes", count(side.processes.length)],
    ["Ranges", count(side.ranges)],
    ["Dropped", count(side.dropped)],
    [hosts.length > 1 ? "Hosts" : "Host", hosts.slice(0, 6).join(", ") + (hosts.length > 6 ? ` and ${count(hosts.length - 6)} more` : "")],
    ["Versions", versions.join(" · ") || NOTHING],
  ];
  return el(
    "div",
    { class: "card" },
    el("h2", {}, `${word}: ${hint}`),
    el("div", { class: "path" }, el("bdi", { text: side.path })),
    el("dl", { class: "facts" }, ...facts.map(([term, words]) => el("div", {}, el("dt", { text: term }), el("dd", {}, name(words))))),
  );
}

function drawRuns() {
  const main = document.getElementById("main");
  const last = (path) => path.split("/").filter(Boolean).pop() ?? path;
  main.append(el("h1", {}, name(last(data.a.path)), " → ", name(last(data.b.path))));
  main.append(el("div", { class: "columns" }, ...SIDES.map(sideFacts)));
  if (data.failed.length) main.append(notice(`Slower by more than ${100 * data.fail_above} %`, data.failed));
  if (data.unjudged.length) main.append(notice("Not judged", data.unjudged));
  if (data.remarks.length) main.append(notice("Before believing the figures", data.remarks));
  if (!data.differences.length) return;
  const made = section("differs", "What differs");
  const rows = data.differences.map((one) => el("tr", {}, el("th", { scope: "row", text: one.what }), ...[one.a, one.b].map((text) => el("td", {}, name(text || NOTHING)))));
  const head = ["what", "A", "B"].map((text) => el("th", { scope: "col", text }));
  made.append(el("div", { class: "wide" }, el("table", { class: "plain texts" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))));
}

function notice(title, lines) {
  const shown = lines.slice(0, 12).map((line) => el("li", {}, name(line, 600)));
  const more = lines.length > shown.length ? el("li", { text: `and ${count(lines.length - shown.length)} more` }) : null;
  return el("div", { class: "notice", role: "note" }, el("strong", { text: title }), el("ul", {}, ...shown, more));
}

function drawWhole() {
  const lines = data.whole;
  if (!lines.count) return;
  const kinds = [...new Set(SIDES.flatMap(([key]) => lines[key].step ?? []).filter(Boolean))];
  const note = `a step is ${kinds.map((kind) => (/^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`)).join(" or ")}; times are medians, of one process`;
  const made = section("whole", "Whole steps", el("span", { class: "note", text: note }));
  const cards = el("div", { class: "cards" });
  for (let row = 0; row < Math.min(lines.count, MOST_CARDS); row++) {
    const [a, b] = SIDES.map(([key]) => lines[key].step_ns?.[row] ?? null);
    const where = [lines.role[row], lines.domain[row], lines.phase[row]].filter(Boolean).join(" · ");
    cards.append(
      el(
        "div",
        { class: "card" },
        el("h3", {}, name(lines.path[row] || `all of ${lines.domain[row]}`, 60)),
        el("div", { class: "muted" }, name(where, 80)),
        el("div", { class: `figure ${tone(lines, row)}` }, lines.only_in[row] ? said(lines, row) : change(lines.ratio[row]), el("small", { text: lines.only_in[row] ? "" : said(lines, row) })),
        el("div", { class: "line" }, el("span", { text: "step" }), el("b", { text: `${duration(a)} → ${duration(b)}` })),
        el("div", { class: "line" }, el("span", { text: "95 %" }), el("b", { text: interval(lines, row) || NOTHING })),
      ),
    );
  }
  made.append(cards);
  if (lines.count > MOST_CARDS) made.append(el("p", { class: "empty", text: `and ${count(lines.count - MOST_CARDS)} more, in the table below` }));
}

function drawEntries(show) {
  const lines = data.entries;
  if (!lines.count) return;
  const made = section("entries", "What stands out", el("span", { class: "note", text: "entries of folded lists that changed otherwise than the rest of their list" }));
  const order = Array.from({ length: lines.count }, (_, row) => row).sort((x, y) => Math.abs(lines.difference_ns[y]) - Math.abs(lines.difference_ns[x]));
  const items = order.slice(0, MOST_ENTRIES).map((row) =>
    el(
      "li",
      {},
      el("span", { class: "kind" }, el("span", { class: tone(lines, row), text: change(lines.ratio[row]) })),
      el("span", { class: "words" }, name(lines.path[row]), lines.phase[row] ? ` in ${lines.phase[row]}` : "", `: ${duration(lines.a.step_ns[row])} → ${duration(lines.b.step_ns[row])} a step`),
      el("button", { type: "button", text: "Show", "aria-label": `Show the list of ${cut(lines.path[row], 60)}`, on: { click: () => show(lines.parent[row]) } }),
    ),
  );
  made.append(el("ul", { class: "findings" }, ...items));
  if (lines.count > MOST_ENTRIES) made.append(el("p", { class: "empty", text: `and ${count(lines.count - MOST_ENTRIES)} more, in --format json` }));
}
