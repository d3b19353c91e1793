// The strip of steps: a bar each, as tall as the step took long. Where there are more steps than columns of pixels, a column stands for
// several: the pale part is the slowest of them, the full one their median.

const STRIP = 116; // height in CSS pixels
const FAR_APART = 8; // the slowest by the median, from which on heights are logarithmic at first
const SCALE = 58; // at the right, for the scale
const NARROWEST = 3; // a bar with its gap
const WIDEST = 36;

class Strip {
  /** `steps` are the columns of data.steps; `held` are the steps whose ranges the page has; `choose(step)` is told of a choice. */
  constructor(host, steps, held, choose) {
    this.steps = steps;
    this.held = held;
    this.choose = choose;
    this.length = steps.duration.length;
    this.at = -1;
    this.known = steps.duration.filter((one) => one !== null);
    this.most = Math.max(1, ...chunkMaxima(this.known));
    this.least = Math.max(1, Math.min(...chunkMinima(this.known)) / 2);
    const middle = this.known.length ? median(this.known) : 0;
    this.logarithmic = middle > 0 && this.most / middle > FAR_APART;
    const { canvas, redraw } = chart(() => STRIP, (context, width, height) => this._draw(context, width, height));
    this.canvas = canvas;
    this.redraw = redraw;
    const hold = { tabindex: "0", role: "slider", "aria-label": "Steps", "aria-valuemin": 1, "aria-valuemax": this.length };
    this.slider = el("div", hold, canvas);
    this.scale = toggle("log scale", "Heights by the logarithm of the duration", (on) => {
      this.logarithmic = on;
      redraw();
    });
    this.scale.setAttribute("aria-pressed", String(this.logarithmic));
    host.append(el("div", { class: "strip" }, this.slider));
    this.slider.addEventListener("keydown", (event) => this._key(event));
    canvas.addEventListener("click", (event) => this.choose(this._under(event)));
    canvas.addEventListener("mousemove", (event) => this._point(event));
    canvas.addEventListener("mouseleave", hideTip);
  }

  /** A step was chosen, here or elsewhere. */
  show(at, words) {
    this.at = at;
    this.slider.setAttribute("aria-valuenow", String(at + 1));
    this.slider.setAttribute("aria-valuetext", words);
    this.redraw();
  }

  /** How many steps each column of pixels stands for. */
  get each() {
    const columns = Math.max(1, Math.floor(((this.canvas.clientWidth || 800) - SCALE) / NARROWEST));
    return Math.max(1, Math.ceil(this.length / columns));
  }

  /** What a reader must know of the picture. */
  get said() {
    return this.each > 1 ? `each bar is ${count(this.each)} of them: pale the slowest, full the median` : "a bar each";
  }

  _height(ns, room) {
    if (!this.logarithmic) return Math.max(1, (ns / this.most) * room);
    return Math.max(1, (Math.log(Math.max(ns, this.least) / this.least) / Math.log(this.most / this.least)) * room);
  }

  /** Durations that the scale names: the longest and its half, or powers of ten. */
  _marks() {
    if (!this.logarithmic) return [this.most, this.most / 2];
    const marks = [this.most];
    for (let ns = 10 ** Math.floor(Math.log10(this.most / 2)); ns > this.least && marks.length < 5; ns /= 10) marks.push(ns);
    return marks;
  }

  _draw(context, width, height) {
    const { duration: durations, kind, kinds } = this.steps;
    const colors = kinds.map((one) => color(phaseToken(one)));
    const each = this.each;
    const columns = Math.ceil(this.length / each);
    const step = Math.min(WIDEST, (width - SCALE) / columns);
    this.step = step;
    const foot = 6; // where dots say that the ranges are here
    const room = height - foot - 8;
    context.strokeStyle = color("line");
    context.fillStyle = color("muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const ns of this._marks()) {
      const y = Math.round(height - foot - this._height(ns, room)) + 0.5;
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(width - SCALE + 4, y);
      context.stroke();
      context.fillText(duration(ns), width, y);
    }
    for (let column = 0; column < columns; column++) {
      const first = column * each;
      const last = Math.min(this.length, first + each);
      const x = column * step;
      const wide = Math.max(1, step - (step > 3 ? 1 : 0.5));
      let slowest = first;
      const known = [];
      for (let at = first; at < last; at++) {
        if (durations[at] === null) continue;
        known.push(durations[at]);
        if (!(durations[slowest] >= durations[at])) slowest = at;
      }
      if (!known.length) continue;
      context.fillStyle = colors[kind[slowest]];
      const chosen = this.at >= first && this.at < last;
      if (each > 1) {
        context.globalAlpha = 0.35;
        const tall = this._height(durations[slowest], room);
        context.fillRect(x, height - foot - tall, wide, tall);
        context.globalAlpha = 1;
      }
      const tall = this._height(each > 1 ? median(known) : durations[first], room);
      context.globalAlpha = chosen || this.at < 0 ? 1 : 0.72;
      context.fillRect(x, height - foot - tall, wide, tall);
      context.globalAlpha = 1;
      if (this.held.size < this.length && some(first, last, this.held)) {
        context.fillStyle = color("muted");
        context.fillRect(x + wide / 2 - 1, height - 3, 2, 3);
      }
      if (chosen) {
        context.fillStyle = color("ink");
        context.fillRect(x - 1, height - foot + 1, wide + 2, 3);
        context.fillRect(x + wide / 2 - 0.5, 0, 1, Math.max(0, height - foot - tall - 2));
      }
    }
  }

  _under(event) {
    const column = Math.floor(event.offsetX / (this.step || 1));
    const first = Math.max(0, Math.min(this.length - 1, column * this.each));
    const last = Math.min(this.length, first + this.each);
    let found = first;
    for (let at = first; at < last; at++) if (!(this.steps.duration[found] >= this.steps.duration[at])) found = at;
    return found;
  }

  _point(event) {
    const at = this._under(event);
    const first = Math.floor(at / this.each) * this.each;
    const last = Math.min(this.length, first + this.each) - 1;
    const which = first === last ? stepName(at) : `${stepName(at)}, the slowest of ${count(last - first + 1)}`;
    showTip(event, [which, `${this.steps.kinds[this.steps.kind[at]]} · ${duration(this.steps.duration[at])}`, this.held.has(at) ? "" : "its ranges are not in this page"]);
  }

  _key(event) {
    const tenth = Math.max(1, Math.round(this.length / 10));
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: tenth, PageDown: -tenth, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(this.length - 1, Math.max(0, this.at) + steps[event.key])));
  }
}

function some(first, last, held) {
  for (let at = first; at < last; at++) if (held.has(at)) return true;
  return false;
}

// Math.max of an array takes as many arguments as it has entries, and there is a limit.
function chunkMaxima(values) {
  const found = [];
  for (let at = 0; at < values.length; at += 10_000) found.push(Math.max(...values.slice(at, at + 10_000)));
  return found;
}

function chunkMinima(values) {
  const found = [];
  for (let at = 0; at < values.length; at += 10_000) found.push(Math.min(...values.slice(at, at + 10_000)));
  return found;
}
