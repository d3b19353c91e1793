// The section of steps: the strip, the selected step, its flame view, and its ranges as a table.

/** Return "step 12", the step's number in the run. */
function formatStepName(step) {
  const { index, sort } = data.steps;
  const number = (index ? index[step] : step) + (sort === "optimizer" ? 1 : 0);
  return `${sort === "call" ? "call" : "step"} ${formatCount(number)}`;
}

class StepsSection {
  constructor() {
    const { steps, excerpts } = data;
    const title = { engine: "Steps", optimizer: "Optimizer steps", call: "Outermost calls" }[
      steps.sort
    ];
    // The page may have only some steps: step of the run -> step of the page.
    const positions = steps.index && new Map(steps.index.map((step, position) => [step, position]));
    this.toPageStep = (step) => (positions ? (positions.get(step) ?? -1) : step);
    this.excerpts = new Map(excerpts.items.map((item) => [this.toPageStep(item.step), item]));
    this.section = addSection("steps", title);
    this.note = addNote(this.section, "");
    this.strip = new Strip(this.section, steps, this.excerpts, (step) => this.select(step));
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Selected steps" });
    this.facts = el("div", { class: "stepline", role: "status" });
    this.reasons = el("div", { class: "reasons" });
    this.highlight = el("p", { class: "highlight", role: "status", hidden: true });
    this.section.append(this._buildToolbar(), this.highlight, this.chips, this.facts, this.reasons);
    this.flame = new FlameView(this.section);
    this.missing = el("p", { class: "empty", hidden: true });
    this.tableDetails = el(
      "details",
      { class: "as-table" },
      el("summary", { text: "The ranges of this step as a table" }),
    );
    this.section.append(this.missing, this.tableDetails);
    this.tableDetails.addEventListener("toggle", () => this._fillTable());
    this._updateNote();
    new ResizeObserver(() => this._updateNote()).observe(this.section);
    this._addChips();
    this.select(this._chooseFirstStep());
  }

  _buildToolbar() {
    const legend = el("div", { class: "legend" });
    for (const kind of data.steps.kinds)
      legend.append(el("span", {}, makeSwatch(kind), makeName(kind, 60)));
    return el(
      "div",
      { class: "toolbar" },
      legend,
      el("span", { class: "end" }, this.strip.scaleToggle),
    );
  }

  /** Describe the strip. The text depends on the width of the page. */
  _updateNote() {
    const { steps } = data;
    const shownCount = steps.duration.length;
    const words = [
      countNoun(steps.of, steps.sort === "call" ? "call" : "step"),
      this.strip.description,
    ];
    if (steps.of > shownCount) {
      const groupSize = formatCount(Math.ceil(steps.of / shownCount));
      words.push(`the page has only the slowest of every ${groupSize} consecutive steps`);
    }
    if (this.excerpts.size < shownCount) {
      words.push(
        `a dot marks the ${formatCount(this.excerpts.size)} steps whose ranges are in this page`,
      );
    }
    this.note.textContent = words.join("; ");
  }

  _addChips() {
    const { steps, excerpts } = data;
    for (const item of excerpts.items.filter(({ reason }) => reason)) {
      const step = this.toPageStep(item.step);
      const attributes = {
        type: "button",
        "aria-pressed": "false",
        on: { click: () => this.select(step) },
      };
      const swatch = makeSwatch(steps.kinds[steps.kind[step]]);
      const chip = el(
        "button",
        attributes,
        swatch,
        makeName(item.reason, 70),
        ` · ${formatDuration(steps.duration[step])}`,
      );
      chip.dataset.step = step;
      this.chips.append(chip);
    }
  }

  /** Without serving, the slowest step is often the warm-up. Then begin with the median step. */
  _chooseFirstStep() {
    const { steps, excerpts } = data;
    const isServing = steps.sort === "engine" || steps.never_ended;
    const median = isServing
      ? null
      : excerpts.items.find(({ reason }) => reason.includes("median"));
    const item = median ?? excerpts.items[0];
    return item ? this.toPageStep(item.step) : 0;
  }

  /** Show a step of the page. */
  select(step) {
    const { steps, excerpts } = data;
    const kind = steps.kinds[steps.kind[step]];
    const duration = steps.duration[step];
    const item = this.excerpts.get(step) ?? null;
    const note = item ? "" : ", its ranges are not in this page";
    this.strip.show(
      step,
      `${formatStepName(step)} of ${formatCount(steps.of)}, ${kind}, ` +
        `${formatDuration(duration)}${note}`,
    );
    for (const chip of this.chips.children) {
      chip.setAttribute("aria-pressed", String(Number(chip.dataset.step) === step));
    }
    this.facts.replaceChildren(...listStepFacts(step, item));
    this.reasons.replaceChildren(...explainStep(this, step));
    this.item = item;
    this.flame.element.hidden = this.tableDetails.hidden = !item;
    this.missing.hidden = Boolean(item);
    if (item) {
      this.flame.show(item, duration, excerpts.names);
      this._fillTable();
    } else this._offerNearest(step);
  }

  /**
   * Return the longest call of a process whose name passes a test, in the steps with ranges:
   * {step, lane, range, duration}; null without one.
   */
  findLongestCall(process, isName) {
    const isIndex = data.excerpts.names.map(isName);
    let longest = null;
    for (const [step, { lanes }] of this.excerpts) {
      lanes.forEach((lane, laneIndex) => {
        if (lane.process !== process) return;
        lane.name.forEach((nameIndex, range) => {
          const duration = lane.duration[range];
          if (isIndex[nameIndex] && duration > (longest?.duration ?? -1))
            longest = { step, lane: laneIndex, range, duration };
        });
      });
    }
    return longest;
  }

  /** Select a step and scroll to it. */
  showStep(step) {
    this.select(step);
    this.section.scrollIntoView({ block: "start" });
  }

  /** Show a call that findLongestCall found, in its step. */
  showCall({ step, lane, range }) {
    this.select(step);
    this.flame.showRange(lane, range);
    this.facts.scrollIntoView({ block: "start" });
  }

  /** Mark some steps in the strip; `text` says which. */
  mark(steps, text) {
    this.strip.mark(steps);
    const clear = () => this.mark(new Set(), "");
    this.highlight.replaceChildren(
      makeName(text, 200),
      " ",
      el("button", { type: "button", class: "link", text: "Clear", on: { click: clear } }),
    );
    this.highlight.hidden = !steps.size;
  }

  _offerNearest(step) {
    const stepsWithRanges = [...this.excerpts.keys()];
    const nearest = stepsWithRanges.sort((a, b) => Math.abs(a - step) - Math.abs(b - step))[0];
    this.missing.textContent =
      `This page has the ranges of ${countNoun(stepsWithRanges.length, "step")}, but not of ` +
      "this one. The timeline has all ranges: autoinstr report … --format pftrace. ";
    if (nearest === undefined) return;
    const text = `Show the nearest step with ranges: ${formatStepName(nearest)}`;
    this.missing.append(
      el("button", { type: "button", text, on: { click: () => this.select(nearest) } }),
    );
  }

  _fillTable() {
    if (!this.tableDetails.open || !this.item) return;
    this.rows = summarizeByName(this.item, data.excerpts.names);
    if (this.table) {
      this.table.reset(this.rows.length);
      return;
    }
    const get = (key) => (row) => this.rows[row][key];
    const textColumn = (key, title, options) => ({
      key,
      title,
      ...options,
      value: get(key),
      text: get(key),
    });
    this.table = new Table(this.tableDetails, {
      label: "Ranges of the step by name",
      rows: this.rows.length,
      sort: { key: "total", descending: true },
      columns: [
        textColumn("title", "Range", { kind: "name" }),
        textColumn("cls", "Class", { kind: "text", width: "22ch", drop: 1 }),
        textColumn("thread", "Thread", { kind: "text", width: "30ch", drop: 2 }),
        {
          key: "calls",
          title: "Calls",
          kind: "number",
          width: "8ch",
          value: get("calls"),
          text: (row) => formatCount(this.rows[row].calls),
        },
        makeDurationColumn("total", "Total", null, "11ch", get("total")),
        makeDurationColumn("selfTime", "Self", null, "11ch", get("selfTime")),
      ],
    });
  }
}

function drawSteps() {
  return data.steps.duration.length ? new StepsSection() : null;
}
