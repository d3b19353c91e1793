// A row for each request.

function drawRequests() {
  const requests = data.requests;
  if (!requests) return;
  const { columns: values } = requests;
  const made = section("requests", "Requests");
  const rows = values.id.length;
  const note = requests.of > rows ? `the first ${count(rows)} of ${count(requests.of)}; all: report --table requests --format csv` : counted(rows, "request");
  made.querySelector(".head").append(el("span", { class: "note", text: note }));
  const value = (key) => (row) => values[key]?.[row] ?? null;
  const time = (key, title, hint, drop) => values[key] && { key, title, hint, kind: "number", width: "11ch", drop, value: value(key), text: (row) => duration(value(key)(row)), title_of: (row) => exact(value(key)(row)) };
  const number = (key, title, hint, drop) => values[key] && { key, title, hint, kind: "number", width: "12ch", drop, value: value(key), text: (row) => count(value(key)(row)) };
  const arrived = ["arrived_ns", "queued_ns", "first_scheduled_ns"].find((key) => values[key]);
  const front = !requests.engine;
  const columns = [
    { key: "name", title: "Request", kind: "name", value: value("name"), text: (row) => values.name[row] },
    arrived && { ...time(arrived, "Arrived", "Since the first range of the run"), text: (row) => (value(arrived)(row) === null ? NOTHING : `${value(arrived)(row) < 0 ? "−" : "+"}${duration(Math.abs(value(arrived)(row)))}`) },
    time("queue_ns", "Queue", "From the engine's queue to the first step with a part of it", 1),
    time(front ? "ttft_ns" : "engine_ttft_ns", front ? "TTFT" : "engine TTFT", "Time to first token"),
    time("tpot_ns", "TPOT", "Time per output token after the first"),
    time(front ? "e2e_ns" : "engine_e2e_ns", front ? "End to end" : "In engine", "From its arrival to its end"),
    number("prompt_tokens", "Prompt", "Tokens of the prompt", 1),
    number("output_tokens", "Output", "Tokens of the output", 1),
    number("cached_tokens", "Cached", "Tokens of the prompt found in the prefix cache", 3),
    number("preemptions", "Preempted", "How often its KV blocks were taken away", 3),
    { key: "end", title: "End", kind: "text", width: "12ch", drop: 2, value: (row) => values.reason?.[row] ?? values.state[row], text: (row) => values.reason?.[row] ?? values.state[row] },
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
    search: (row) => `${values.name[row]} ${values.id[row]} ${values.reason?.[row] ?? ""} ${values.state[row]}`,
    empty: "no request matches",
  });
}
