// The head of a comparison: the two runs, notices, and the differences of their environments.

const SIDES = [
  ["a", "A", "before"],
  ["b", "B", "after"],
];
const CHANGE_WORDS = {
  slower: "slower",
  faster: "faster",
  alike: "no difference shown",
  inconclusive: "inconclusive",
};

/** Format a ratio: "+12.3 %" for 1.123; from 10 on "12.3 ×". */
function formatChange(ratio) {
  if (isMissing(ratio)) return NO_VALUE;
  if (ratio >= 10) return `${ratio < 99.95 ? ratio.toFixed(1) : formatCount(ratio)} ×`;
  return `${ratio < 1 ? "−" : "+"}${(100 * Math.abs(ratio - 1)).toFixed(1)} %`;
}

/** Describe the result of a line in a few words. */
function describeResult(lines, row) {
  if (lines.only_in[row]) return `only ${lines.only_in[row].toUpperCase()}`;
  return lines.reason[row] ?? CHANGE_WORDS[lines.change[row]] ?? "";
}

/** Return the color class of a line. */
function getTone(lines, row) {
  return { slower: "bad", faster: "good" }[lines.change[row]] ?? "muted";
}

/** Format the confidence interval of a line; "" where it is inconclusive. */
function formatInterval(lines, row) {
  if (lines.low[row] === null || lines.change[row] === "inconclusive") return "";
  return `${formatChange(lines.low[row])} … ${formatChange(lines.high[row])}`;
}

function makeSideCard([key, letter, role]) {
  const side = data[key];
  const hosts = [...new Set(side.processes.map(({ host }) => host))];
  const moreHosts = hosts.length > 6 ? ` and ${formatCount(hosts.length - 6)} more` : "";
  const versions = Object.entries(side.versions).map((entry) => entry.join(" "));
  const facts = [
    ["Processes", formatCount(side.processes.length)],
    ["Ranges", formatCount(side.ranges)],
    ["Dropped", formatCount(side.dropped)],
    [hosts.length > 1 ? "Hosts" : "Host", hosts.slice(0, 6).join(", ") + moreHosts],
    ["Versions", versions.join(" · ") || NO_VALUE],
  ];
  const items = facts.map(([term, text]) =>
    el("div", {}, el("dt", { text: term }), el("dd", {}, makeName(text))),
  );
  return el(
    "div",
    { class: "card" },
    el("h2", {}, `${letter}: ${role}`),
    el("div", { class: "path" }, el("bdi", { text: side.path })),
    el("dl", { class: "facts" }, ...items),
  );
}

function makeDiffNotice(title, lines) {
  const items = lines.slice(0, 12).map((line) => el("li", {}, makeName(line, 600)));
  const hiddenCount = lines.length - items.length;
  const more = hiddenCount ? el("li", { text: `and ${formatCount(hiddenCount)} more` }) : null;
  return el(
    "div",
    { class: "notice", role: "note" },
    el("strong", { text: title }),
    el("ul", {}, ...items, more),
  );
}

function drawRuns() {
  const main = document.getElementById("main");
  const getName = (path) => path.split("/").filter(Boolean).pop() ?? path;
  main.append(el("h1", {}, makeName(getName(data.a.path)), " → ", makeName(getName(data.b.path))));
  main.append(el("div", { class: "columns" }, ...SIDES.map(makeSideCard)));
  if (data.failed.length)
    main.append(makeDiffNotice(`Slower by more than ${100 * data.fail_above} %`, data.failed));
  if (data.unjudged.length) main.append(makeDiffNotice("Inconclusive", data.unjudged));
  if (data.remarks.length) main.append(makeDiffNotice("Notes on these figures", data.remarks));
  if (!data.differences.length) return;
  const rows = data.differences.map(({ what, a, b }) => [
    what,
    makeName(a || NO_VALUE),
    makeName(b || NO_VALUE),
  ]);
  addSection("differs", "Different settings").append(
    makePlainTable("Different settings", ["setting", "A", "B"], rows, "texts"),
  );
}
