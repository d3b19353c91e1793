// Add the sections of a comparison to the page.

let diffModulesSection = null;
drawRuns();
drawDiffSteps();
drawOutliers((row) => diffModulesSection?.showRow(row));
const mainElement = document.getElementById("main");
if (data.rows.count) diffModulesSection = new DiffModulesSection();
else
  mainElement.append(
    el("p", {
      class: "empty",
      text:
        "No range was recorded in either run. " +
        "For the reason run: autoinstr doctor -- <your command>",
    }),
  );
mainElement.append(
  el(
    "footer",
    {},
    el("p", {
      text:
        "All times are host times: on a GPU or NPU a range ends when the call returns, not when " +
        "the device finishes. An interval describes these two runs only: two runs of one " +
        "program also differ for reasons that no single run shows. docs/reference/diff.md " +
        "explains how modules are matched, what a step is, and which differences are noise.",
    }),
    el(
      "p",
      {},
      "For programs: ",
      el("code", { text: "autoinstr diff A B --format json" }),
      `. autoinstr ${data.version}`,
    ),
  ),
);
