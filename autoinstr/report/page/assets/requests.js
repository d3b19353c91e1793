// A row for each request.

function drawRequests() {
  const requests = data.requests;
  if (!requests) return;
  const { columns: values } = requests;
  const made = section("requests", "Requests");
  const rows = values.name.length;
  const note = requests.of > rows ? `the first ${count(rows)} of ${count(requests.of)}; all: report --table requests --format csv` : counted(rows, "request");
  made.querySelector(".head").append(el("span", { class: "note", text: note }));
  const value = (key) => (row) => values[key]?.[row] ?? null;
  const time = (key, title, hint, drop) => values[key] && { key, title, hint, kind: "number", width: "11ch", drop, value: value(key), text: (row) => duration(value(key)(row)), title_of: (row) => exact(value(key)(row)) };
  const number = (key, title, hint, drop) => values[key] && { key, title, hint, kind: "number", width: "12ch", drop, value: value(key), text: (row) => count(value(key)(row)) };
  const front = !requests.engine;
  const columns = [
    { key: "name", title: "Request", kind: "name", value: value("name"), text: (row) => values.name[row] },
    { ...time("arrived", "Arrived", "Since the first range of the run"), text: (row) => signed(values.arrived[row]) },
    time("queue", "Queue", "From the engine's queue to the first step with a part of it", 1),
    time("ttft", front ? "TTFT" : "engine TTFT", "Time to first token"),
    time("tpot", "TPOT", "Time per output token after the first"),
    time("e2e", front ? "End to end" : "In engine", "From its arrival to its end"),
    number("prompt_tokens", "Prompt", "Tokens of the prompt", 1),
    number("output_tokens", "Output", "Tokens of the output", 1),
    number("cached_tokens", "Cached", "Tokens of the prompt found in the prefix cache", 3),
    number("preemptions", "Preempted", "How often its KV blocks were taken away", 3),
    { key: "end", title: "End", kind: "text", width: "12ch", drop: 2, value: (row) => requests.ends[values.end[row]], text: (row) => requests.ends[values.end[row]] },
  ].filter(Boolean);
  const shown = el("span", { class: "end", role: "status" });
  const field = search("Search id or end", (text) => {
    table.filter(text);
    shown.textContent = text ? `${count(table.matches)} of ${count(rows)} match` : "";
  });
  made.append(el("div", { class: "toolbar" }, field, shown));
  const table = new Table(made, {
    label: "Requests",
    rows,
    columns,
    search: (row) => `${values.name[row]} ${values.id?.[row] ?? ""} ${requests.ends[values.end[row]]}`,
    empty: "no request matches",
  });
}
