// What the flame view draws: the axis, a line for each thread, and its ranges as boxes below one another.

const BOX = 19; // height of a row
const AXIS = 22;
const FLAME_COLORS = 7;

class FlamePicture {
  constructor() {
    this.excerpt = null;
    this.hovered = this.chosen = -1;
    const { canvas, redraw } = chart(
      () => this._height(),
      (context, width) => this._draw(context, width),
    );
    this.canvas = canvas;
    this.redraw = redraw;
  }

  /** Show a step of so many nanoseconds; `names` are [title, class, domain]. */
  show(excerpt, length, names) {
    Object.assign(this, { excerpt, length: Math.max(1, length), names, hovered: -1, chosen: -1, ...layOut(excerpt, length) });
    this.from = 0;
    this.to = this.length;
    this.colors = this._colors();
    this.redraw();
  }

  _height() {
    return AXIS + BOX * Math.max(3, this.rows ?? 3) + 6;
  }

  /** The classes that take the most time themselves get colours of their own; functions stay grey. */
  _colors() {
    const own = new Map();
    for (const box of this.boxes) {
      const cls = this.names[this._nameOf(box)][1];
      if (cls) own.set(cls, (own.get(cls) ?? 0) + box.own);
    }
    const order = [...own].sort((a, b) => b[1] - a[1]).map((one) => one[0]);
    return new Map(order.map((cls, at) => [cls, `flame-${at % FLAME_COLORS}`]));
  }

  _nameOf(box) {
    return this.excerpt.lanes[box.lane].name[box.at];
  }

  _draw(context, width) {
    if (!this.excerpt) return;
    const scale = width / (this.to - this.from);
    const x = (time) => (time - this.from) * scale;
    const ink = color("flame-ink");
    const colors = { "flame-function": color("flame-function") };
    for (let at = 0; at < FLAME_COLORS; at++) colors[`flame-${at}`] = color(`flame-${at}`);
    this._axis(context, width, x);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const { row, lane } of this.heads) this._head(context, width, row, lane);
    const last = new Map(); // of each row, how far its pixels are painted: thousands of boxes may share one
    this.boxes.forEach((box, at) => {
      if (box.end < this.from || box.start > this.to) return;
      const right = Math.min(width + 2, x(box.end));
      const left = Math.max(-2, box.open ? Math.min(x(box.start), right - 6) : x(box.start)); // where the process was is always seen
      if (right - left < 0.7 && right < (last.get(box.row) ?? -1) + 0.7) return;
      last.set(box.row, right);
      const [title, cls] = this.names[this._nameOf(box)];
      const top = AXIS + box.row * BOX;
      const wide = Math.max(0.7, right - left - (right - left > 3 ? 1 : 0));
      context.fillStyle = colors[cls ? this.colors.get(cls) : "flame-function"];
      context.fillRect(left, top, wide, BOX - 2);
      if (box.open) this._ragged(context, right, top);
      if (wide > 26) this._label(context, ink, shortName(title), cls, left, top, wide);
      if (at === this.chosen || at === this.hovered) {
        context.strokeStyle = at === this.chosen ? color("accent") : color("ink");
        context.lineWidth = at === this.chosen ? 2 : 1;
        context.strokeRect(left + 0.5, top + 0.5, Math.max(1, wide - 1), BOX - 3);
      }
    });
  }

  _axis(context, width, x) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "left";
    const step = niceStep((this.to - this.from) / Math.max(2, width / 110));
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      const at = Math.round(x(time)) + 0.5;
      context.strokeStyle = color("line");
      context.beginPath();
      context.moveTo(at, 0);
      context.lineTo(at, this._height());
      context.stroke();
      context.fillStyle = color("muted");
      if (at < width - 46) context.fillText(time === 0 ? "0" : duration(time), at + 4, AXIS / 2);
    }
  }

  _head(context, width, row, lane) {
    const { process, thread } = this.excerpt.lanes[lane];
    const top = AXIS + row * BOX;
    context.fillStyle = color("raised");
    context.fillRect(0, top, width, BOX - 2);
    context.fillStyle = color("muted");
    const words = `${data.processes[process].label} · ${thread}`;
    context.fillText(cut(words, 120), 6, top + BOX / 2 - 1, width - 12);
  }

  _label(context, ink, label, cls, left, top, wide) {
    const start = Math.max(2, left) + 4;
    const room = left + wide - start - 3;
    if (room < 18) return;
    context.save();
    context.beginPath();
    context.rect(start - 2, top, room + 2, BOX);
    context.clip();
    context.fillStyle = ink;
    const shown = cut(label, 80);
    context.fillText(shown, start, top + BOX / 2 - 1);
    const after = context.measureText(shown).width + 7;
    if (cls && cls !== label && room - after > 40) {
      context.globalAlpha = 0.62;
      context.fillText(cut(cls, 60), start + after, top + BOX / 2 - 1);
    }
    context.restore();
  }

  /** A range that never ended. */
  _ragged(context, right, top) {
    context.fillStyle = color("bad");
    context.fillRect(right - 3, top, 3, BOX - 2);
  }
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= least);
}
