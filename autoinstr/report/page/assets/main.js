// Add the sections to the page.

drawHead();
drawCards();
let stepsSection = null;
let modulesSection = null;
let ranksSection = null;
drawFindings((finding) => {
  const isShown = finding.kind === "rank" && ranksSection?.showFinding(finding);
  if (!isShown) modulesSection?.showRow(...finding.place);
});
stepsSection = drawSteps();
const mainElement = document.getElementById("main");
if (data.groups.length) modulesSection = new ModulesSection();
else
  mainElement.append(
    el("p", {
      class: "empty",
      text: "No range was recorded. For the reason run: autoinstr doctor -- <your command>",
    }),
  );
ranksSection = drawRanks();
drawRequests();
drawProcesses();
drawInstrumented();
const hasDevice = data.groups.some(({ domains }) => domains.some((tree) => tree.device_ns));
mainElement.append(
  el(
    "footer",
    {},
    el("p", {
      text:
        (hasDevice ? "Device times are those of kernels, from the profile. " : "") +
        `${hasDevice ? "All other times" : "All times"} are host times: on a GPU or NPU a range ends ` +
        "when the call returns, not when the device finishes. Self is the time in a module outside the modules that it " +
        "called. Percentiles are durations of actual calls. The estimated overhead comes from " +
        "autoinstr's benchmarks, not from this run.",
    }),
    el(
      "p",
      {},
      "More: ",
      el("code", { text: "autoinstr report RUN --format pftrace" }),
      " (a timeline of all ranges), ",
      el("code", { text: "--format json" }),
      " (all figures), ",
      el("code", { text: "autoinstr diff A B" }),
      ` (compare two runs). autoinstr ${data.run.version}`,
    ),
  ),
);
