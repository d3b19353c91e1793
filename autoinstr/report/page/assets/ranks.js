// Processes with the same module tree side by side: which is slow, and in which module.

class RanksSection {
  /** `places` has [group, domain] of each comparison. */
  constructor(places) {
    this.places = places;
    this.section = addSection("ranks", "Ranks");
    this.note = addNote(this.section, "");
    this.toolbar = el("div", { class: "toolbar" });
    this.tableContainer = el("div", { id: "ranks-table" });
    this.strip = el("div", { class: "strip" });
    this.section.append(this.toolbar, this.strip, this.tableContainer);
    this.search = makeSearch("Search path or class", (text) => this.table.filter(text));
    this.showComparison(0);
  }

  get tree() {
    const [group, domain] = this.places[this.placeIndex];
    return data.groups[group].domains[domain];
  }

  get figures() {
    return this.tree.ranks.figures[this.phaseIndex];
  }

  get members() {
    return this.tree.ranks.members;
  }

  getProcess(rank) {
    return data.processes[this.members[rank]];
  }

  /** Show the process and the row of a finding. Return false if no comparison has them. */
  showFinding({ place: [group, domain, row], process }) {
    const domainName = data.groups[group].domains[domain].domain;
    const index = this.places.findIndex(([placeGroup, placeDomain]) => {
      const tree = data.groups[placeGroup].domains[placeDomain];
      return tree.domain === domainName && tree.ranks.members.includes(process);
    });
    if (index < 0) return false;
    if (index !== this.placeIndex) this.showComparison(index);
    this.selectRank(this.members.indexOf(process));
    this.table.select(row);
    this.section.scrollIntoView({ block: "start" });
    this.table.focus();
    return true;
  }

  /** Show one comparison. */
  showComparison(index) {
    this.placeIndex = index;
    this.phaseIndex = 0;
    this.rank = 0;
    this._readFigures();
    this._fillToolbar();
    this._makeBars();
    this.tableContainer.replaceChildren();
    const { parents, labels, paths, classes } = this.tree;
    this.table = new Table(this.tableContainer, {
      label: "Modules over ranks",
      rows: labels.length,
      parent: parents,
      columns: listRankColumns(this),
      search: (row) => `${paths[row]} ${classes[row]}`,
      present: (row) => this.figuresOfRow.has(row),
      empty: "no module matches",
    });
    this.selectRank(this.figuresOfRow.get("worst", this.topRow));
  }

  _fillToolbar() {
    const labels = this.places.map(([group, domain]) => {
      const { process, domains } = data.groups[group];
      const size = formatCount(domains[domain].ranks.members.length);
      return `${size} like ${data.processes[process].label}: ${formatDomain(domains[domain])}`;
    });
    const comparisonPicker = makePicker("Compare", labels, (next) => this.showComparison(next));
    comparisonPicker.select.value = String(this.placeIndex);
    const ranks = this.members.map((process) => data.processes[process].label);
    this.rankPicker = makePicker("Rank", ranks, (rank) => this.selectRank(rank));
    this.toolbar.replaceChildren();
    if (labels.length > 1) this.toolbar.append(comparisonPicker.element);
    const { figures } = this.tree.ranks;
    if (figures.length > 1) {
      const tabs = makeTabs(
        "Phase of the comparison",
        listPhaseChoices(figures),
        (next) => this._showPhase(next),
        "ranks-table",
      );
      this.toolbar.append(tabs.element);
    }
    this.toolbar.append(this.rankPicker.element, this.search);
  }

  /** Compare one rank with the others. */
  selectRank(rank) {
    this.rank = rank;
    this.rankPicker.select.value = String(rank);
    const mean = formatDuration(this.getMean(this.topRow, rank));
    const { label } = this.getProcess(rank);
    const description = `${label}: ${mean} a call of ${this.tree.paths[this.topRow]}`;
    this.slider.setAttribute("aria-valuenow", String(rank + 1));
    this.slider.setAttribute("aria-valuetext", truncate(description, 200));
    this.chart.redraw();
    this.table.refresh();
  }

  _readFigures() {
    this.figuresOfRow = indexByRow(this.tree, this.figures);
    this.topRow = this._findTopRow();
    const get = (key) => this.figuresOfRow.get(key, this.topRow);
    const path = truncate(this.tree.paths[this.topRow], 60);
    const ratio = formatRatio(get("max") / this.getUsual(this.topRow));
    const usual = this.isPair ? "other" : "median";
    const processes = `${formatCount(this.members.length)} processes with the same module tree`;
    const slowest = `slowest in ${path}: ${this.getProcess(get("worst")).label}`;
    const times = `${formatDuration(get("max"))} a call, ${ratio} the ${usual}`;
    this.note.textContent = `${processes}; ${slowest}, ${times}`;
  }

  _showPhase(index) {
    if (index === this.phaseIndex) return;
    this.phaseIndex = index;
    this._readFigures();
    this.table.refresh();
    this.selectRank(this.rank);
  }

  get isPair() {
    return this.members.length === 2;
  }

  /** Return the usual mean of a row: the median over ranks; of two ranks, the faster one's. */
  getUsual(row) {
    return this.figuresOfRow.get(this.isPair ? "min" : "median", row);
  }

  /** Return the outermost row with the most time. */
  _findTopRow() {
    const { parents } = this.tree;
    const getMedian = (row) => this.figuresOfRow.get("median", row);
    let topRow = this.figures.rows[0];
    for (const row of this.figures.rows) {
      if (parents[row] < 0 && getMedian(row) > getMedian(topRow)) topRow = row;
    }
    return topRow;
  }

  /** Return the mean of one rank, or null where the page does not have it. */
  getMean(row, rank) {
    if (!this.figuresOfRow.has(row)) return null;
    const get = (key) => this.figuresOfRow.get(key, row);
    if (get("means")) return get("means")[rank];
    if (get("worst") === rank) return get("max");
    return get("least") === rank ? get("min") : null;
  }

  _drawBars(context, width, height) {
    const means = this.members.map((_, rank) => this.getMean(this.topRow, rank) ?? 0);
    const slowest = findMaximum(means);
    const usual = this.getUsual(this.topRow);
    const barWidth = Math.min(36, width / means.length);
    this.barWidth = barWidth;
    means.forEach((mean, rank) => {
      const barHeight = slowest ? Math.max(1, (mean / slowest) * (height - 8)) : 0;
      context.fillStyle = getColor(getHeatToken(mean / usual));
      context.fillRect(
        rank * barWidth,
        height - 5 - barHeight,
        Math.max(1, barWidth - (barWidth > 3 ? 1 : 0)),
        barHeight,
      );
      if (rank !== this.rank) return;
      context.fillStyle = getColor("ink");
      context.fillRect(rank * barWidth - 1, height - 3, Math.max(2, barWidth), 3);
    });
  }

  _makeBars() {
    this.chart = makeChart(
      () => 64,
      (context, width, height) => this._drawBars(context, width, height),
    );
    const { canvas } = this.chart;
    const attributes = {
      tabindex: "0",
      role: "slider",
      "aria-label": "Rank",
      "aria-valuemin": 1,
      "aria-valuemax": this.members.length,
    };
    this.slider = el("div", attributes, canvas);
    this.strip.replaceChildren(this.slider);
    const lastRank = this.members.length - 1;
    const findRank = (event) => Math.min(lastRank, Math.floor(event.offsetX / this.barWidth));
    canvas.addEventListener("click", (event) => this.selectRank(findRank(event)));
    canvas.addEventListener("mousemove", (event) => {
      const rank = findRank(event);
      const mean = formatDuration(this.getMean(this.topRow, rank));
      showTooltip(event, [this.getProcess(rank).label, `${mean} a call`]);
    });
    canvas.addEventListener("mouseleave", hideTooltip);
    this.slider.addEventListener("keydown", (event) => {
      const moves = {
        ArrowRight: 1,
        ArrowUp: 1,
        ArrowLeft: -1,
        ArrowDown: -1,
        Home: -Infinity,
        End: Infinity,
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.selectRank(Math.max(0, Math.min(lastRank, this.rank + moves[event.key])));
    });
  }
}
