// The drawing of the flame view: the time axis, a head for each thread, and a box for each range.

const BOX_HEIGHT = 19; // of a row
const AXIS_HEIGHT = 22;
const FLAME_COLORS = 7;

class FlamePicture {
  constructor() {
    this.excerpt = null;
    this.hovered = this.selected = -1; // indices of boxes
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
    this.hovered = this.selected = -1;
    Object.assign(this, layOutRanges(excerpt, stepDuration));
    this.from = 0; // the visible time
    this.to = this.stepDuration;
    this.colorOfClass = this._assignColors();
    this.redraw();
  }

  _getHeight() {
    return AXIS_HEIGHT + BOX_HEIGHT * Math.max(3, this.rowCount ?? 3) + 6;
  }

  /** Assign colors to classes in order of self time, so the heaviest differ. Functions are grey. */
  _assignColors() {
    const selfTimes = new Map();
    for (const box of this.boxes) {
      const cls = this._getName(box)[1];
      if (cls) selfTimes.set(cls, (selfTimes.get(cls) ?? 0) + box.selfTime);
    }
    const classes = [...selfTimes].sort((a, b) => b[1] - a[1]).map(([cls]) => cls);
    return new Map(classes.map((cls, index) => [cls, `flame-${index % FLAME_COLORS}`]));
  }

  _getName(box) {
    return this.names[this.excerpt.lanes[box.lane].name[box.range]];
  }

  _draw(context, width) {
    if (!this.excerpt) return;
    const scale = width / (this.to - this.from);
    const toX = (time) => (time - this.from) * scale;
    const colors = { "flame-function": getColor("flame-function") };
    for (let index = 0; index < FLAME_COLORS; index++)
      colors[`flame-${index}`] = getColor(`flame-${index}`);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "left";
    this._drawAxis(context, width, toX);
    for (const { row, lane } of this.threadHeads) this._drawThreadHead(context, width, row, lane);
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
      context.fillStyle = colors[cls ? this.colorOfClass.get(cls) : "flame-function"];
      context.fillRect(left, top, boxWidth, BOX_HEIGHT - 2);
      if (box.isOpen) {
        context.fillStyle = getColor("bad");
        context.fillRect(right - 3, top, 3, BOX_HEIGHT - 2);
      }
      if (boxWidth > 26)
        this._drawLabel(context, ink, shortenPath(title), cls, left, top, boxWidth);
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

  _drawThreadHead(context, width, row, lane) {
    const { process, thread } = this.excerpt.lanes[lane];
    const top = AXIS_HEIGHT + row * BOX_HEIGHT;
    context.fillStyle = getColor("raised");
    context.fillRect(0, top, width, BOX_HEIGHT - 2);
    context.fillStyle = getColor("muted");
    const label = truncate(`${data.processes[process].label} · ${thread}`, 120);
    context.fillText(label, 6, top + BOX_HEIGHT / 2 - 1, width - 12);
  }

  _drawLabel(context, ink, label, cls, left, top, boxWidth) {
    const start = Math.max(2, left) + 4;
    const labelWidth = left + boxWidth - start - 3;
    if (labelWidth < 18) return;
    context.save();
    context.beginPath();
    context.rect(start - 2, top, labelWidth + 2, BOX_HEIGHT);
    context.clip();
    context.fillStyle = ink;
    const text = truncate(label, 80);
    const y = top + BOX_HEIGHT / 2 - 1;
    context.fillText(text, start, y);
    const textWidth = context.measureText(text).width + 7;
    if (cls && cls !== label && labelWidth - textWidth > 40) {
      context.globalAlpha = 0.62;
      context.fillText(truncate(cls, 60), start + textWidth, y);
    }
    context.restore();
  }
}

/** Return the smallest of 1, 2 and 5 times a power of ten that is at least `minimum`. */
function roundUpTick(minimum) {
  const power = 10 ** Math.floor(Math.log10(minimum));
  return [1, 2, 5, 10].map((factor) => factor * power).find((tick) => tick >= minimum);
}
