// Puts the sections of a comparison on the page.

let differences = null;
drawRuns();
drawWhole();
drawEntries((row) => differences?.show(row));
if (rows.count) differences = new Differences();
else document.getElementById("main").append(el("p", { class: "empty", text: "No range was recorded in either run. Why, a process at a time: autoinstr doctor -- <your command>" }));
document.getElementById("main").append(
  el(
    "footer",
    {},
    el("p", { text: "Time is the host's: on a GPU or NPU a range ends when the call returns, not when the device has finished. An interval speaks of these two runs: two runs of one program differ for reasons that no single run shows. What is matched, what a step is and how a difference is told from noise: docs/diff.md." }),
    el("p", {}, "For a program: ", el("code", { text: "autoinstr diff A B --format json" }), `. autoinstr ${data.version}`),
  ),
);
