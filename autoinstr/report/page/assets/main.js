// Puts the sections on the page, in the order in which they are read.

drawHead();
drawCards();
let modules = null;
let ranks = null;
drawFindings((finding) => (finding.kind === "rank" && ranks?.show(finding)) || modules?.show(...finding.place));
drawSteps();
if (data.groups.length) modules = new Modules();
else document.getElementById("main").append(el("p", { class: "empty", text: "No range was recorded. Why, a process at a time: autoinstr doctor -- <your command>" }));
ranks = drawRanks();
drawRequests();
drawProcesses();
drawInstrumented();
document.getElementById("main").append(
  el(
    "footer",
    {},
    el("p", { text: "Time is the host's: on a GPU or NPU a range ends when the call returns, not when the device has finished. Self is the time in a module outside the modules that it called; percentiles are of calls that occurred. Estimated overhead is a figure of autoinstr's benchmarks, not a measurement of this run." }),
    el("p", {}, "More: ", el("code", { text: "autoinstr report RUN --format pftrace" }), " (a timeline of everything), ", el("code", { text: "--format json" }), " (every figure), ", el("code", { text: "autoinstr diff A B" }), ` (two runs). autoinstr ${data.run.version}`),
  ),
);
