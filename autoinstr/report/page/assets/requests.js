// The table of requests.

function listRequestColumns(requests) {
  const { columns: values, ends } = requests;
  const get = (key) => (row) => values[key]?.[row] ?? null;
  const time = (key, title, hint, drop) =>
    values[key] && makeDurationColumn(key, title, hint, "11ch", get(key), drop);
  const number = (key, title, hint, drop) =>
    values[key] && {
      key,
      title,
      hint,
      kind: "number",
      width: "12ch",
      drop,
      value: get(key),
      text: (row) => formatCount(get(key)(row)),
    };
  const end = (row) => ends[values.end[row]];
  return [
    {
      key: "name",
      title: "Request",
      kind: "name",
      value: get("name"),
      text: (row) => values.name[row],
    },
    values.arrived && {
      ...time(
        "arrived",
        requests.engine ? "Queued" : "Arrived",
        "Time since the first range of the run",
      ),
      text: (row) => (get("arrived")(row) === null ? "" : formatSigned(values.arrived[row])),
    },
    time(
      "queue",
      "Queue",
      "Time from the engine's queue to the first step with a part of the request",
      1,
    ),
    time("ttft", requests.engine ? "Engine TTFT" : "TTFT", "Time to first token"),
    time("tpot", "TPOT", "Time per output token after the first"),
    time("e2e", requests.engine ? "In engine" : "End to end", "Time from arrival to end"),
    number("prompt_tokens", "Prompt", "Tokens of the prompt", 1),
    number("output_tokens", "Output", "Tokens of the output", 1),
    number("cached_tokens", "Cached", "Tokens of the prompt from the prefix cache", 3),
    number("preemptions", "Preempted", "How often the request lost its KV cache blocks", 3),
    values.adapter && {
      key: "adapter",
      title: "Adapter",
      kind: "text",
      width: "16ch",
      drop: 3,
      value: get("adapter"),
      text: (row) => get("adapter")(row) ?? "",
    },
    { key: "end", title: "End", kind: "text", width: "12ch", drop: 2, value: end, text: end },
  ].filter(Boolean);
}

function drawRequests() {
  const { requests } = data;
  if (!requests) return;
  const { columns: values, ends } = requests;
  const rowCount = values.name.length;
  const section = addSection("requests", "Requests");
  const isCut = requests.of > rowCount;
  const shown = `the first ${formatCount(rowCount)} of ${formatCount(requests.of)}`;
  const cutNote = `${shown}; for all: report --table requests --format csv`;
  addNote(section, isCut ? cutNote : countNoun(rowCount, "request"));
  const matches = el("span", { class: "end", role: "status" });
  const search = makeSearch("Search id or end", (text) => {
    table.filter(text);
    matches.textContent = text
      ? `${formatCount(table.matchCount)} of ${formatCount(rowCount)} match`
      : "";
  });
  section.append(el("div", { class: "toolbar" }, search, matches));
  const table = new Table(section, {
    label: "Requests",
    rows: rowCount,
    columns: listRequestColumns(requests),
    search: (row) => `${values.name[row]} ${values.id?.[row] ?? ""} ${ends[values.end[row]]}`,
    detail: (row) => inspectRequest(requests, row),
    empty: "no request matches",
  });
}
