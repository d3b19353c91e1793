// The modules of both runs: a tree or a list for one role, domain and phase.

class DiffModulesSection {
  constructor() {
    this.section = addSection("modules", "Modules");
    const note = data.left_out
      ? `the ${formatCount(data.left_out)} smallest differences are not in this page`
      : "host time";
    addNote(this.section, note);
    this.groups = groupDiffRows();
    this.showsChangesOnly = false;
    this._addToolbar();
    this.tableContainer = el("div", { id: "modules-table" });
    this.section.append(this.tableContainer);
    this.showGroup(0);
  }

  _addToolbar() {
    const hasPhases = this.groups.some(({ phase }) => phase);
    const labels = this.groups.map(({ role, domain, phase }) =>
      [role, domain, phase ?? (hasPhases ? "no phase" : null)].filter(Boolean).join(" · "),
    );
    this.groupPicker = makePicker("Show", labels, (index) => this.showGroup(index));
    this.search = makeSearch("Search path or class", (text) => this.table.filter(text));
    this.flatToggle = makeToggle("flat", "Show a list instead of a tree", (pressed) =>
      this.table.setFlat(pressed),
    );
    const changesToggle = makeToggle(
      "changes only",
      "Hide rows without a shown difference",
      (pressed) => {
        this.showsChangesOnly = pressed;
        this.table.refresh();
      },
    );
    this.rowCount = el("span", { class: "end", role: "status" });
    const picker = this.groups.length > 1 ? this.groupPicker.element : null;
    const foldButtons = makeFoldButtons(() => this.table);
    this.section.append(
      el(
        "div",
        { class: "toolbar" },
        picker,
        this.search,
        this.flatToggle,
        changesToggle,
        ...foldButtons,
        this.rowCount,
      ),
    );
  }

  /** Show the rows of one role, domain and phase. */
  showGroup(index) {
    this.groupIndex = index;
    this.groupPicker.select.value = String(index);
    const { first, rowCount } = this.groups[index];
    const { rows } = data;
    this.first = first;
    this.parents = rows.parent
      .slice(first, first + rowCount)
      .map((parent) => (parent < 0 ? -1 : parent - first));
    this.logRange = getLogRange(first, first + rowCount);
    this.tableContainer.replaceChildren();
    this.table = new Table(this.tableContainer, {
      label: "Modules of both runs",
      rows: rowCount,
      parent: this.parents,
      columns: listDiffColumns(this),
      search: (row) => [rows.path[first + row], ...this.getBoth("class", row)].join(" "),
      present: (row) =>
        !this.showsChangesOnly || !["alike", "inconclusive"].includes(rows.change[first + row]),
      sort: { key: "difference", descending: true },
      detail: (row) => inspectDiffRow(this, row),
      onarrange: () => this._updateRowCount(),
      empty: "no module matches",
    });
    if (isPressed(this.flatToggle)) this.table.setFlat(true);
    if (this.search.value) this.table.filter(this.search.value);
  }

  /** Select a row of data.rows, even if it is folded or does not match the search. */
  showRow(row) {
    const index = this.groups.findIndex(
      ({ first, rowCount }) => row >= first && row < first + rowCount,
    );
    this.search.value = "";
    this.showGroup(index);
    this.table.select(row - this.first);
    this.section.scrollIntoView({ block: "start" });
    this.table.focus();
  }

  /** Return a value of a row for both runs. */
  getBoth(key, row) {
    return SIDES.map(([side]) => data.rows[side][key]?.[this.first + row] ?? null);
  }

  /** Return the path of a row without the path of its parent. */
  getLabel(row) {
    const { path } = data.rows;
    const rowPath = path[this.first + row];
    const parentPath = this.parents[row] >= 0 ? path[this.first + this.parents[row]] : "";
    return parentPath && rowPath.startsWith(`${parentPath}.`)
      ? rowPath.slice(parentPath.length + 1)
      : rowPath;
  }

  _updateRowCount() {
    if (!this.table) return;
    const { rowCount } = this.groups[this.groupIndex];
    const isPart = this.search.value || this.showsChangesOnly;
    const part = `${formatCount(this.table.matchCount)} of ${formatCount(rowCount)} shown`;
    this.rowCount.textContent = isPart ? part : countNoun(rowCount, "row");
  }
}

/**
 * Group the rows by role, domain and phase. Rows of one group follow one another. The group with
 * the largest difference comes first.
 */
function groupDiffRows() {
  const { rows } = data;
  const groups = [];
  for (let row = 0; row < rows.count; row++) {
    const last = groups[groups.length - 1];
    const [role, domain, phase] = [rows.role[row], rows.domain[row], rows.phase[row]];
    if (last && last.role === role && last.domain === domain && last.phase === phase)
      last.rowCount++;
    else groups.push({ role, domain, phase, first: row, rowCount: 1 });
  }
  return groups;
}
