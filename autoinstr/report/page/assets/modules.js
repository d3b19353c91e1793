// The module tree of one group of processes, in one domain, for one phase or for all.

class ModulesSection {
  constructor() {
    this.section = addSection("modules", "Modules");
    this.groupIndex = this.domainIndex = this.phaseIndex = 0;
    this.note = addNote(this.section, "");
    this.toolbar = el("div", { class: "toolbar" });
    this.tableContainer = el("div", { id: "modules-table" });
    this.section.append(this.toolbar, this.tableContainer);
    const groupLabels = data.groups.map(({ process, members }) => {
      const others = members.length - 1;
      return (
        data.processes[process].label +
        (others ? ` (and ${formatCount(others)} with the same tree)` : "")
      );
    });
    this.groupPicker = makePicker("Process", groupLabels, (index) => this.showTree(index, 0));
    this.search = makeSearch("Search path or class", (text) => this.table.filter(text));
    this.flatToggle = makeToggle("flat", "Show a list instead of a tree", (pressed) =>
      this.table.setFlat(pressed),
    );
    this.perStepToggle = makeToggle(
      "per step",
      "Divide totals, self times and calls by the number of steps",
      () => this.table.refresh(),
    );
    this.rowCount = el("span", { class: "end", role: "status" });
    this.showTree(
      Math.max(
        0,
        data.groups.findIndex((group) => group.domains[0].modules),
      ),
      0,
    );
  }

  get tree() {
    return data.groups[this.groupIndex].domains[this.domainIndex];
  }

  get figures() {
    return this.tree.figures[this.phaseIndex];
  }

  get stepDivisor() {
    return isPressed(this.perStepToggle) && !this.perStepToggle.hidden ? this.stepCount : 1;
  }

  /** Show the tree of a group of processes and a domain. */
  showTree(groupIndex, domainIndex) {
    this.groupIndex = groupIndex;
    this.domainIndex = domainIndex;
    this.phaseIndex = 0;
    this.groupPicker.select.value = String(groupIndex);
    this._fillToolbar();
    this._readFigures();
    this.tableContainer.replaceChildren();
    const { parents, labels, paths, classes } = this.tree;
    this.table = new Table(this.tableContainer, {
      label: "Modules",
      rows: labels.length,
      parent: parents,
      columns: listModuleColumns(this),
      search: (row) => `${paths[row]} ${classes[row]}`,
      present: (row) => this.figuresOfRow.has(row),
      detail: (row) => inspectModule(this, row),
      onarrange: () => this._updateRowCount(),
      empty: "no module matches",
    });
    if (isPressed(this.flatToggle)) this.table.setFlat(true);
    if (this.search.value) this.table.filter(this.search.value);
    this.tabs.select(0);
  }

  _fillToolbar() {
    const domainLabels = data.groups[this.groupIndex].domains.map(formatDomain);
    const domainPicker = makePicker("Ranges", domainLabels, (index) =>
      this.showTree(this.groupIndex, index),
    );
    domainPicker.select.value = String(this.domainIndex);
    const choices = listPhaseChoices(this.tree.figures);
    this.tabs = makeTabs("Phase", choices, (index) => this._showPhase(index), "modules-table");
    this.toolbar.replaceChildren();
    if (data.groups.length > 1) this.toolbar.append(this.groupPicker.element);
    if (domainLabels.length > 1) this.toolbar.append(domainPicker.element);
    if (choices.length > 1) this.toolbar.append(this.tabs.element);
    const foldButtons = makeFoldButtons(() => this.table);
    this.toolbar.append(
      this.search,
      this.flatToggle,
      this.perStepToggle,
      ...foldButtons,
      this.rowCount,
    );
  }

  /** Select a row, even if it is folded or does not match the search. */
  showRow(groupIndex, domainIndex, row) {
    if (groupIndex !== this.groupIndex || domainIndex !== this.domainIndex) {
      this.showTree(groupIndex, domainIndex);
    }
    this.search.value = "";
    this.table.words = [];
    this.tabs.select(0);
    this.table.select(row);
    this.section.scrollIntoView({ block: "start" });
    this.table.focus();
  }

  _showPhase(index) {
    this.phaseIndex = index;
    this._readFigures();
    this.table?.refresh();
  }

  _readFigures() {
    this.figuresOfRow = indexByRow(this.tree, this.figures);
    this.busyTime = this.figures.busy;
    this.layersOfRow = new Map(
      this.tree.numbers.map(([row, list], index) => [
        row,
        { numbers: this.tree.lists[list], index },
      ]),
    );
    const stepCount = getStepCount(this.figures);
    this.perStepToggle.hidden = !stepCount;
    this.stepCount = stepCount ?? 1;
    const scope = this.tree.modules
      ? "inside module calls"
      : `in ranges of the domain ${truncate(this.tree.domain, 40)}`;
    const words = [`host time ${scope}`];
    if (this.tree.device_ns) words.push("device time of the kernels that they launched");
    if (this.tree.left_out)
      words.push(`the ${formatCount(this.tree.left_out)} lightest rows are not in this page`);
    if (data.without_tree.length) {
      const processes = countNoun(
        data.without_tree.length,
        "group of processes",
        "groups of processes",
      );
      words.push(`${processes} with another tree not in this page (use report --process)`);
    }
    this.note.textContent = words.join("; ");
  }

  _updateRowCount() {
    if (!this.table) return;
    const rowCount = this.tree.labels.length;
    const matches = `${formatCount(this.table.matchCount)} of ${formatCount(rowCount)} match`;
    this.rowCount.textContent = this.search.value ? matches : countNoun(rowCount, "row");
  }

  /** Return the numbers and mean times of a folded list's entries, or null. */
  getLayers(row) {
    const layers = this.layersOfRow.get(row);
    const means = layers && this.figures.layers[layers.index];
    return means ? [layers.numbers, means] : null;
  }
}
