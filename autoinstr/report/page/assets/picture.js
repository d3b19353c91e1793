// The drawing of the flame view: the time axis, a head for each thread, and a box for each range.

const BOX_HEIGHT = 19; // of a row
const AXIS_HEIGHT = 22;
const REQUESTS_LABEL = "requests";
const FUNCTION_LABEL = "function";
const KERNEL_LABEL = "kernel"; // of no module

class FlamePicture {
  constructor() {
    this.excerpt = null;
    this.hovered = this.selected = -1; // indices of boxes
    this.foldDecisions = new Map(); // process and thread -> whether the user folded it
    this.classColors = assignClassColors(data.excerpts.names);
    this.legend = new ClassLegend();
    this.heads = new LaneHeads((lane, isFolded) => this._setFolded(lane, isFolded));
    const { canvas, redraw } = makeChart(
      () => this._getHeight(),
      (context, width) => this._draw(context, width),
    );
    this.canvas = canvas;
    this.redraw = redraw;
  }

  /** Show a step. `names` are [title, class, domain]. */
  show(excerpt, stepDuration, names) {
    this.excerpt = excerpt;
    this.stepDuration = Math.max(1, stepDuration);
    this.names = names;
    this.from = 0; // the visible time
    this.to = this.stepDuration;
    this._layOut();
  }

  _layOut() {
    this.hovered = this.selected = -1;
    const isFolded = (lane) => this.foldDecisions.get(nameLane(this.excerpt.lanes[lane]));
    Object.assign(this, layOutRanges(this.excerpt, this.stepDuration, isFolded));
    this.heads.show(this.excerpt, this.laneHeads);
    this.legend.show(this._listLegend());
    this.redraw();
  }

  _setFolded(lane, isFolded) {
    this.foldDecisions.set(nameLane(this.excerpt.lanes[lane]), isFolded);
    this._layOut();
    this.heads.element.children[lane].focus();
  }

  _getHeight() {
    return AXIS_HEIGHT + BOX_HEIGHT * Math.max(3, this.rowCount ?? 3) + 6;
  }

  /** List the colors of the visible boxes as [label, color], the heaviest class first. */
  _listLegend() {
    const selfTimes = new Map();
    const others = new Set();
    for (const box of this.boxes) {
      const cls = this._getName(box)[1];
      if (box.range === NO_RANGE) others.add(REQUESTS_LABEL);
      else if (cls) selfTimes.set(cls, (selfTimes.get(cls) ?? 0) + box.selfTime);
      else others.add(this._isKernel(box) ? KERNEL_LABEL : FUNCTION_LABEL);
    }
    const classes = [...selfTimes].sort((a, b) => b[1] - a[1]).map(([cls]) => cls);
    return [
      ...[...others].sort().map((label) => [label, `var(--flame-${label})`]),
      ...classes.map((cls) => [cls, this.classColors.get(cls)]),
    ];
  }

  /** Return [title, class, domain] of a box. */
  _getName(box) {
    const lane = this.excerpt.lanes[box.lane];
    if (box.range === NO_RANGE) return [nameRequests(lane.requests), "", ""];
    return this.names[lane.name[box.range]];
  }

  _getColor(box, cls) {
    if (box.range === NO_RANGE) return getColor(`flame-${REQUESTS_LABEL}`);
    if (cls) return resolveColor(this.classColors.get(cls));
    return getColor(`flame-${this._isKernel(box) ? KERNEL_LABEL : FUNCTION_LABEL}`);
  }

  _isKernel(box) {
    return Boolean(this.excerpt.lanes[box.lane].device);
  }

  _draw(context, width) {
    if (!this.excerpt) return;
    const scale = width / (this.to - this.from);
    const toX = (time) => (time - this.from) * scale;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "left";
    this._drawAxis(context, width, toX);
    context.fillStyle = getColor("raised");
    for (const { row } of this.laneHeads)
      context.fillRect(0, AXIS_HEIGHT + row * BOX_HEIGHT, width, BOX_HEIGHT - 2);
    const ink = getColor("flame-ink");
    const paintedTo = new Map(); // row -> its last painted pixel: thousands of boxes may share one
    this.boxes.forEach((box, index) => {
      if (box.end < this.from || box.start > this.to) return;
      const right = Math.min(width + 2, toX(box.end));
      // A range that never ended is always visible.
      const start = box.isOpen ? Math.min(toX(box.start), right - 6) : toX(box.start);
      const left = Math.max(-2, start);
      if (right - left < 0.7 && right < (paintedTo.get(box.row) ?? -1) + 0.7) return;
      paintedTo.set(box.row, right);
      const [title, cls] = this._getName(box);
      const top = AXIS_HEIGHT + box.row * BOX_HEIGHT;
      const boxWidth = Math.max(0.7, right - left - (right - left > 3 ? 1 : 0));
      context.fillStyle = this._getColor(box, cls);
      context.fillRect(left, top, boxWidth, BOX_HEIGHT - 2);
      if (box.isOpen) {
        context.fillStyle = getColor("bad");
        context.fillRect(right - 3, top, 3, BOX_HEIGHT - 2);
      }
      if (boxWidth > 26)
        this._drawLabel(context, ink, title, cls, !this._isKernel(box), left, top, boxWidth);
      if (index === this.selected || index === this.hovered) {
        context.strokeStyle = getColor(index === this.selected ? "accent" : "ink");
        context.lineWidth = index === this.selected ? 2 : 1;
        context.strokeRect(left + 0.5, top + 0.5, Math.max(1, boxWidth - 1), BOX_HEIGHT - 3);
      }
    });
  }

  _drawAxis(context, width, toX) {
    const tickDistance = roundUpTick((this.to - this.from) / Math.max(2, width / 110));
    let time = Math.ceil(this.from / tickDistance) * tickDistance;
    for (; time <= this.to; time += tickDistance) {
      const x = Math.round(toX(time)) + 0.5;
      context.strokeStyle = getColor("line");
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, this._getHeight());
      context.stroke();
      context.fillStyle = getColor("muted");
      if (x < width - 46)
        context.fillText(time === 0 ? "0" : formatDuration(time), x + 4, AXIS_HEIGHT / 2);
    }
  }

  _drawLabel(context, ink, label, cls, isPath, left, top, boxWidth) {
    const start = Math.max(2, left) + 4;
    const labelWidth = left + boxWidth - start - 3;
    if (labelWidth < 18) return;
    context.save();
    context.beginPath();
    context.rect(start - 2, top, labelWidth + 2, BOX_HEIGHT);
    context.clip();
    context.fillStyle = ink;
    const text = cls && isPath ? fitPath(context, label, labelWidth) : truncate(label, 160);
    const y = top + BOX_HEIGHT / 2 - 1;
    context.fillText(text, start, y);
    const textWidth = context.measureText(text).width + 7;
    if (cls && !label.endsWith(cls) && labelWidth - textWidth > 40) {
      context.globalAlpha = 0.7;
      context.fillText(truncate(cls, 60), start + textWidth, y);
    }
    context.restore();
  }
}

/** Return a path, or its longest end that fits into `width`. A list's number keeps its name. */
function fitPath(context, path, width) {
  let text = path;
  let rest = path;
  while (context.measureText(text).width > width && /\.\D/.test(rest)) {
    rest = rest.replace(/^.*?\.(?=\D)/, "");
    text = `…${rest}`;
  }
  return text;
}

/** Return the smallest of 1, 2 and 5 times a power of ten that is at least `minimum`. */
function roundUpTick(minimum) {
  const power = 10 ** Math.floor(Math.log10(minimum));
  return [1, 2, 5, 10].map((factor) => factor * power).find((tick) => tick >= minimum);
}
