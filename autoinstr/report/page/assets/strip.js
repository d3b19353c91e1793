// The strip of steps: one bar per step, as tall as the step's duration. With more steps than pixel
// columns, a bar stands for several steps: light is the slowest of them, solid is their median.

const STRIP_HEIGHT = 116; // CSS pixels
const LOG_RATIO = 8; // with a larger ratio of slowest and median step, the strip begins logarithmic
const SCALE_WIDTH = 58; // of the scale at the right
const MIN_BAR_WIDTH = 3; // with the gap
const MAX_BAR_WIDTH = 36;
const FOOT_HEIGHT = 6; // for the dots below the bars

class Strip {
  /**
   * `steps` are the columns of data.steps. `stepsWithRanges` has the steps whose ranges the page
   * has. `select(step)` is called when the user selects a step.
   */
  constructor(container, steps, stepsWithRanges, select) {
    this.steps = steps;
    this.stepsWithRanges = stepsWithRanges;
    this.select = select;
    this.length = steps.duration.length;
    this.selected = -1;
    this.marked = new Set();
    const durations = steps.duration.filter((ns) => ns !== null);
    this.longest = Math.max(1, findMaximum(durations));
    this.logZero = Math.max(1, findMinimum(durations) / 2);
    const median = durations.length ? computeMedian(durations) : 0;
    this.isLogarithmic = median > 0 && this.longest / median > LOG_RATIO;
    const { canvas, redraw } = makeChart(
      () => STRIP_HEIGHT,
      (context, width, height) => this._draw(context, width, height),
    );
    this.canvas = canvas;
    this.redraw = redraw;
    const attributes = {
      tabindex: "0",
      role: "slider",
      "aria-label": "Steps",
      "aria-valuemin": 1,
      "aria-valuemax": this.length,
    };
    this.slider = el("div", attributes, canvas);
    this.scaleToggle = makeToggle("log scale", "Logarithmic heights", (pressed) => {
      this.isLogarithmic = pressed;
      redraw();
    });
    this.scaleToggle.setAttribute("aria-pressed", String(this.isLogarithmic));
    container.append(el("div", { class: "strip" }, this.slider));
    this.slider.addEventListener("keydown", (event) => this._handleKey(event));
    canvas.addEventListener("click", (event) => this.select(this._findStep(event)));
    canvas.addEventListener("mousemove", (event) => this._showTooltip(event));
    canvas.addEventListener("mouseleave", hideTooltip);
  }

  /** Mark a step as selected. `description` is for screen readers. */
  show(step, description) {
    this.selected = step;
    this.slider.setAttribute("aria-valuenow", String(step + 1));
    this.slider.setAttribute("aria-valuetext", description);
    this.redraw();
  }

  /** Mark steps, for example those of a request. */
  mark(steps) {
    this.marked = steps;
    this.redraw();
  }

  get stepsPerBar() {
    const width = (this.canvas.clientWidth || 800) - SCALE_WIDTH;
    return Math.max(1, Math.ceil(this.length / Math.max(1, Math.floor(width / MIN_BAR_WIDTH))));
  }

  /** A legend of the bars. */
  get description() {
    if (this.stepsPerBar === 1) return "one bar per step";
    const steps = `${formatCount(this.stepsPerBar)} steps`;
    return `each bar is ${steps}: light is the slowest, solid is the median`;
  }

  _getHeight(ns, maxHeight) {
    if (!this.isLogarithmic) return Math.max(1, (ns / this.longest) * maxHeight);
    const share =
      Math.log(Math.max(ns, this.logZero) / this.logZero) / Math.log(this.longest / this.logZero);
    return Math.max(1, share * maxHeight);
  }

  /** Durations with a line: the longest and its half, or powers of ten. */
  _listScaleMarks() {
    if (!this.isLogarithmic) return [this.longest, this.longest / 2];
    const marks = [this.longest];
    let ns = 10 ** Math.floor(Math.log10(this.longest / 2));
    while (ns > this.logZero && marks.length < 5) {
      marks.push(ns);
      ns /= 10;
    }
    return marks;
  }

  _draw(context, width, height) {
    const colors = this.steps.kinds.map((kind) => getColor(getPhaseToken(kind)));
    const barCount = Math.ceil(this.length / this.stepsPerBar);
    this.barWidth = Math.min(MAX_BAR_WIDTH, (width - SCALE_WIDTH) / barCount);
    this._drawScale(context, width, height);
    for (let bar = 0; bar < barCount; bar++) this._drawBar(context, height, bar, colors);
  }

  _drawScale(context, width, height) {
    context.strokeStyle = getColor("line");
    context.fillStyle = getColor("muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const ns of this._listScaleMarks()) {
      const y =
        Math.round(height - FOOT_HEIGHT - this._getHeight(ns, height - FOOT_HEIGHT - 8)) + 0.5;
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(width - SCALE_WIDTH + 4, y);
      context.stroke();
      context.fillText(formatDuration(ns), width, y);
    }
  }

  _drawBar(context, height, bar, colors) {
    const { duration: durations, kind: kinds } = this.steps;
    const first = bar * this.stepsPerBar;
    const last = Math.min(this.length, first + this.stepsPerBar);
    const barDurations = durations.slice(first, last).filter((ns) => ns !== null);
    if (!barDurations.length) return;
    const slowest = this._findSlowest(first, last);
    const x = bar * this.barWidth;
    const width = Math.max(1, this.barWidth - (this.barWidth > 3 ? 1 : 0.5));
    const bottom = height - FOOT_HEIGHT;
    const isSelected = this.selected >= first && this.selected < last;
    context.fillStyle = colors[kinds[slowest]];
    if (this.stepsPerBar > 1) {
      context.globalAlpha = 0.35;
      const slowestHeight = this._getHeight(durations[slowest], bottom - 8);
      context.fillRect(x, bottom - slowestHeight, width, slowestHeight);
    }
    const barHeight = this._getHeight(computeMedian(barDurations), bottom - 8);
    context.globalAlpha = isSelected || this.selected < 0 ? 1 : 0.72;
    context.fillRect(x, bottom - barHeight, width, barHeight);
    context.globalAlpha = 1;
    if (this.stepsWithRanges.size < this.length && this._hasStep(this.stepsWithRanges, first, last)) {
      context.fillStyle = getColor("muted");
      context.fillRect(x + width / 2 - 1, height - 3, 2, 3);
    }
    if (this.marked.size) {
      const isMarked = this._hasStep(this.marked, first, last);
      context.fillStyle = getColor(isMarked ? "accent" : "panel");
      context.globalAlpha = isMarked ? 1 : 0.6;
      const top = isMarked ? bottom : 0;
      context.fillRect(x, top, width, isMarked ? 4 : bottom);
      context.globalAlpha = 1;
    }
    if (isSelected) {
      context.fillStyle = getColor("ink");
      context.fillRect(x - 1, bottom + 1, width + 2, 3);
      context.fillRect(x + width / 2 - 0.5, 0, 1, Math.max(0, bottom - barHeight - 2));
    }
  }

  _hasStep(steps, first, last) {
    for (let step = first; step < last; step++) if (steps.has(step)) return true;
    return false;
  }

  _findSlowest(first, last) {
    const durations = this.steps.duration;
    let slowest = first;
    for (let step = first; step < last; step++) {
      if (durations[step] !== null && !(durations[slowest] >= durations[step])) slowest = step;
    }
    return slowest;
  }

  /** Return the slowest step of the bar under the pointer. */
  _findStep(event) {
    const bar = Math.floor(event.offsetX / (this.barWidth || 1));
    const first = Math.max(0, Math.min(this.length - 1, bar * this.stepsPerBar));
    return this._findSlowest(first, Math.min(this.length, first + this.stepsPerBar));
  }

  _showTooltip(event) {
    const step = this._findStep(event);
    const first = Math.floor(step / this.stepsPerBar) * this.stepsPerBar;
    const barSteps = Math.min(this.length, first + this.stepsPerBar) - first;
    const title =
      barSteps === 1
        ? formatStepName(step)
        : `${formatStepName(step)}, the slowest of ${formatCount(barSteps)}`;
    const kind = this.steps.kinds[this.steps.kind[step]];
    const note = this.stepsWithRanges.has(step) ? "" : "its ranges are not in this page";
    showTooltip(event, [title, `${kind} · ${formatDuration(this.steps.duration[step])}`, note]);
  }

  _handleKey(event) {
    const tenth = Math.max(1, Math.round(this.length / 10));
    const moves = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: tenth,
      PageDown: -tenth,
      Home: -Infinity,
      End: Infinity,
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const target = Math.max(0, this.selected) + moves[event.key];
    this.select(Math.max(0, Math.min(this.length - 1, target)));
  }
}
