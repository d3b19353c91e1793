// The ranges of one step, on one axis: zoom, pan, hover and keys. What is drawn is said in words as well, for whoever cannot see it.

const CLOSEST_NS = 50; // no more zoom than this across the view

class Flame extends FlamePicture {
  constructor(host) {
    super();
    const hold = { class: "view", tabindex: "0", role: "application", "aria-roledescription": "flame view", "aria-label": "Ranges of the step", "aria-describedby": "flame-keys" };
    this.view = el("div", hold, this.canvas);
    this.said = el("span", { role: "status" });
    const keys = el("span", { class: "keys", id: "flame-keys" });
    for (const [key, word] of [["←→↑↓", "move"], ["Enter", "zoom to it"], ["+ −", "zoom"], ["A D", "pan"], ["0", "whole step"], ["Ctrl wheel", "zoom"]]) {
      keys.append(el("kbd", { text: key }), ` ${word} `);
    }
    this.element = el("div", { class: "flame" }, this.view, el("div", { class: "said" }, this.said, keys));
    host.append(this.element);
    this._hands();
  }

  /** Show a step of so many nanoseconds; `names` are [title, class, domain]. */
  show(excerpt, length, names) {
    super.show(excerpt, length, names);
    this.view.scrollTop = 0;
    const threads = counted(excerpt.lanes.length, "thread");
    this._say(this.boxes.length ? `${counted(this.boxes.length, "range")} in ${threads}, ${duration(length)}` : "no range lies in this step");
  }

  _hands() {
    const at = (event) => this._under(event.offsetX, event.offsetY);
    let grabbed = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      grabbed = { x: event.clientX, from: this.from, to: this.to, moved: false };
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.excerpt) return;
      if (grabbed && event.buttons) {
        const shift = ((grabbed.x - event.clientX) * (grabbed.to - grabbed.from)) / this.canvas.clientWidth;
        if (Math.abs(grabbed.x - event.clientX) > 3) {
          if (!grabbed.moved) this.canvas.setPointerCapture(event.pointerId);
          grabbed.moved = true;
        }
        if (grabbed.moved) this._window(grabbed.from + shift, grabbed.to + shift);
        return;
      }
      const found = at(event);
      if (found !== this.hovered) {
        this.hovered = found;
        this.redraw();
      }
      if (found < 0) hideTip();
      else showTip(event, this._words(found));
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (grabbed && !grabbed.moved && this.excerpt) this._choose(at(event));
      grabbed = null;
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.hovered = -1;
      hideTip();
      this.redraw();
    });
    this.canvas.addEventListener("dblclick", (event) => this.excerpt && this._zoomTo(at(event)));
    this.view.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    this.view.addEventListener("keydown", (event) => this._key(event));
  }

  _under(x, y) {
    const row = Math.floor((y - AXIS) / BOX);
    const time = this.from + (x / this.canvas.clientWidth) * (this.to - this.from);
    const near = (1.5 / this.canvas.clientWidth) * (this.to - this.from); // narrow boxes can be hit as well
    return this.boxes.findIndex((box) => box.row === row && box.start - near <= time && time <= box.end + near);
  }

  _wheel(event) {
    if (!this.excerpt || !(event.ctrlKey || event.metaKey || event.shiftKey)) return; // the page scrolls
    event.preventDefault();
    const span = this.to - this.from;
    if (event.shiftKey) {
      const shift = ((event.deltaX || event.deltaY) / 600) * span;
      this._window(this.from + shift, this.to + shift);
    } else this._zoom(Math.exp(event.deltaY / 300), this.from + (event.offsetX / this.canvas.clientWidth) * span);
  }

  _zoom(factor, around = this.chosen >= 0 ? (this.boxes[this.chosen].start + this.boxes[this.chosen].end) / 2 : (this.from + this.to) / 2) {
    const span = Math.max(CLOSEST_NS, Math.min(this.length, (this.to - this.from) * factor));
    const part = (around - this.from) / (this.to - this.from);
    this._window(around - part * span, around + (1 - part) * span);
  }

  _window(from, to) {
    const span = Math.min(this.length, to - from);
    this.from = Math.max(0, Math.min(this.length - span, from));
    this.to = this.from + span;
    this.redraw();
  }

  _zoomTo(at) {
    if (at < 0) return this._window(0, this.length);
    const { start, end } = this.boxes[at];
    const margin = Math.max(CLOSEST_NS, (end - start) * 0.04);
    this._window(start - margin, end + margin);
    this._choose(at);
  }

  _key(event) {
    if (!this.excerpt || event.ctrlKey || event.metaKey || event.altKey) return;
    const span = this.to - this.from;
    const moves = {
      ArrowRight: () => this._step(1), ArrowLeft: () => this._step(-1), ArrowUp: () => this._up(), ArrowDown: () => this._down(),
      Enter: () => this._zoomTo(this.chosen), 0: () => this._window(0, this.length), Escape: () => this._choose(-1),
      "+": () => this._zoom(0.5), "=": () => this._zoom(0.5), "-": () => this._zoom(2), w: () => this._zoom(0.5), s: () => this._zoom(2),
      a: () => this._window(this.from - span / 4, this.to - span / 4), d: () => this._window(this.from + span / 4, this.to + span / 4),
    };
    const move = moves[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  _step(by) {
    if (this.chosen < 0) return this._choose(0);
    const { row } = this.boxes[this.chosen];
    for (let at = this.chosen + by; at >= 0 && at < this.boxes.length; at += by) if (this.boxes[at].row === row) return this._choose(at);
  }

  _up() {
    if (this.chosen < 0) return this._choose(0);
    const { above, lane } = this.boxes[this.chosen];
    if (above >= 0) return this._choose(above);
    for (let at = this.chosen; at >= 0; at--) if (this.boxes[at].lane < lane && this.boxes[at].above < 0) return this._choose(at);
  }

  _down() {
    if (this.chosen < 0) return this._choose(0);
    const { lane } = this.boxes[this.chosen];
    const inside = this.boxes.findIndex((box) => box.above === this.chosen);
    this._choose(inside >= 0 ? inside : this.boxes.findIndex((box) => box.lane > lane), true);
  }

  _choose(at, keep = false) {
    if (at < 0 && keep) return;
    this.chosen = at;
    if (at >= 0) {
      const { start, end, row } = this.boxes[at];
      const span = this.to - this.from;
      if (end < this.from || start > this.to) this._window(start - span / 2, start + span / 2);
      const top = AXIS + row * BOX;
      if (top < this.view.scrollTop) this.view.scrollTop = top - BOX;
      else if (top + BOX > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + 2 * BOX - this.view.clientHeight;
      this._say(...this._words(at));
    }
    this.redraw();
  }

  _words(at) {
    const box = this.boxes[at];
    const lane = this.excerpt.lanes[box.lane];
    const [title, cls, domain] = this.names[this._nameOf(box)];
    const lasted = box.open ? "never ended" : `${duration(box.end - box.start)}, ${duration(box.own)} of it itself`;
    const part = box.open ? "" : ` (${percent((box.end - box.start) / this.length)} of the step)`;
    return [title, [cls, domain].filter(Boolean).join(" · "), `${lasted}${part}; from ${duration(Math.max(0, box.start))} on`, `${data.processes[lane.process].label} · ${lane.thread}`];
  }

  _say(...lines) {
    this.said.replaceChildren(...lines.filter(Boolean).flatMap((line, at) => [at ? " · " : "", at ? name(line, 400) : el("strong", {}, name(line, 400))]));
  }
}
