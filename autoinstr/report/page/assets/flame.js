// The flame view: zoom, pan and selection by mouse. It describes the selected range as text too.

const MIN_VISIBLE_NS = 50; // no more zoom than this across the view
const MIN_VISIBLE_PIXELS = 8;
const KEY_HELP = [
  ["←→↑↓", "move"],
  ["Enter", "zoom to the range"],
  ["+ −", "zoom"],
  ["A D", "pan"],
  ["0", "complete step"],
  ["Ctrl wheel", "zoom"],
];

class FlameView extends FlamePicture {
  constructor(container) {
    super();
    const attributes = {
      class: "view",
      tabindex: "0",
      role: "application",
      "aria-roledescription": "flame view",
      "aria-label": "Ranges of the step",
      "aria-describedby": "flame-keys",
    };
    this.view = el("div", attributes, this.canvas, this.heads.element);
    this.description = el("span", { role: "status" });
    const keys = el("span", { class: "keys", id: "flame-keys" });
    for (const [key, action] of KEY_HELP) keys.append(el("kbd", { text: key }), ` ${action} `);
    const footer = el("div", { class: "description" }, this.description, keys);
    this.element = el("div", { class: "flame" }, this.legend.element, this.view, footer);
    container.append(this.element);
    this._listen();
  }

  show(excerpt, stepDuration, names) {
    super.show(excerpt, stepDuration, names);
    this.view.scrollTop = 0;
    const deviceLanes = excerpt.lanes.filter(({ device }) => device);
    const hostLanes = excerpt.lanes.filter(({ device }) => !device);
    const count = (lanes) => lanes.reduce((sum, lane) => sum + lane.start.length, 0);
    const ranges = countNoun(count(hostLanes), "range");
    const threads = countNoun(hostLanes.length, "thread");
    const kernels = deviceLanes.length ? `, ${countNoun(count(deviceLanes), "kernel")}` : "";
    const requestCount = Math.max(0, ...excerpt.lanes.map(({ requests }) => requests?.count ?? 0));
    const requests = requestCount ? `, ${countNoun(requestCount, "request")}` : "";
    this._describe(
      excerpt.lanes.length
        ? `${ranges} in ${threads}${kernels}${requests}, ${formatDuration(stepDuration)}`
        : "this step has no ranges",
    );
  }

  _listen() {
    const findBox = (event) => this._findBox(event.offsetX, event.offsetY);
    let drag = null;
    this.heads.element.addEventListener("keydown", (event) => event.stopPropagation());
    this.canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, from: this.from, to: this.to, isMoving: false };
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.excerpt) return;
      if (drag && event.buttons) this._drag(drag, event);
      else this._hover(findBox(event), event);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (drag && !drag.isMoving && this.excerpt) this.select(findBox(event));
      drag = null;
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.hovered = -1;
      hideTooltip();
      this.redraw();
    });
    this.canvas.addEventListener(
      "dblclick",
      (event) => this.excerpt && this.zoomTo(findBox(event)),
    );
    this.view.addEventListener("wheel", (event) => this._handleWheel(event), { passive: false });
    this.view.addEventListener("keydown", (event) => handleFlameKey(this, event));
  }

  _drag(drag, event) {
    const pixels = drag.x - event.clientX;
    if (Math.abs(pixels) > 3) {
      if (!drag.isMoving) this.canvas.setPointerCapture(event.pointerId);
      drag.isMoving = true;
    }
    const shift = (pixels * (drag.to - drag.from)) / this.canvas.clientWidth;
    if (drag.isMoving) this.setVisible(drag.from + shift, drag.to + shift);
  }

  _hover(box, event) {
    if (box !== this.hovered) {
      this.hovered = box;
      this.redraw();
    }
    if (box < 0) hideTooltip();
    else showTooltip(event, this._listLines(box));
  }

  _findBox(x, y) {
    const row = Math.floor((y - AXIS_HEIGHT) / BOX_HEIGHT);
    const timePerPixel = (this.to - this.from) / this.canvas.clientWidth;
    const time = this.from + x * timePerPixel;
    const tolerance = 1.5 * timePerPixel; // a narrow box can be hit too
    return this.boxes.findIndex(
      (box) => box.row === row && box.start - tolerance <= time && time <= box.end + tolerance,
    );
  }

  _handleWheel(event) {
    // Without a modifier key the wheel scrolls the page.
    if (!this.excerpt || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    const span = this.to - this.from;
    if (event.shiftKey) {
      const shift = ((event.deltaX || event.deltaY) / 600) * span;
      this.setVisible(this.from + shift, this.to + shift);
    } else {
      const time = this.from + (event.offsetX / this.canvas.clientWidth) * span;
      this.zoom(Math.exp(event.deltaY / 300), time);
    }
  }

  /** Zoom around a time; by default around the selected box, else the middle of the view. */
  zoom(factor, time = this._getFocusTime()) {
    const span = Math.max(
      MIN_VISIBLE_NS,
      Math.min(this.stepDuration, (this.to - this.from) * factor),
    );
    const share = (time - this.from) / (this.to - this.from);
    this.setVisible(time - share * span, time + (1 - share) * span);
  }

  _getFocusTime() {
    const { start, end } = this.boxes[this.selected] ?? { start: this.from, end: this.to };
    return (start + end) / 2;
  }

  setVisible(from, to) {
    const span = Math.min(this.stepDuration, to - from);
    this.from = Math.max(0, Math.min(this.stepDuration - span, from));
    this.to = this.from + span;
    this.redraw();
  }

  zoomTo(index) {
    if (index < 0) {
      this.setVisible(0, this.stepDuration);
      return;
    }
    const { start, end } = this.boxes[index];
    const margin = Math.max(MIN_VISIBLE_NS, (end - start) * 0.04);
    this.setVisible(start - margin, end + margin);
    this.select(index);
  }

  /** Select a range of a lane. A range that is too narrow to be seen is zoomed to. */
  showRange(lane, range) {
    const isBox = (box) => box.lane === lane && box.range === range;
    if (!this.boxes.some(isBox)) this._setFolded(lane, false);
    const index = this.boxes.findIndex(isBox);
    if (index < 0) return;
    const { start, end, parent } = this.boxes[index];
    const pixels = ((end - start) / this.stepDuration) * this.canvas.clientWidth;
    if (pixels < MIN_VISIBLE_PIXELS) this.zoomTo(parent >= 0 ? parent : index);
    this.select(index);
  }

  /** Select a box, make it visible and describe it. -1 clears the selection. */
  select(index) {
    this.selected = index;
    if (index >= 0) {
      const { start, end, row } = this.boxes[index];
      const span = this.to - this.from;
      if (end < this.from || start > this.to) this.setVisible(start - span / 2, start + span / 2);
      const top = AXIS_HEIGHT + row * BOX_HEIGHT;
      const { scrollTop, clientHeight } = this.view;
      if (top < scrollTop) this.view.scrollTop = top - BOX_HEIGHT;
      else if (top + BOX_HEIGHT > scrollTop + clientHeight)
        this.view.scrollTop = top + 2 * BOX_HEIGHT - clientHeight;
      this._describe(...this._listLines(index));
    }
    this.redraw();
  }

  _listLines(index) {
    const box = this.boxes[index];
    const lane = this.excerpt.lanes[box.lane];
    const [title, cls, domain] = this._getName(box);
    if (box.range === NO_RANGE) return this._listRequestLines(title, lane);
    const duration = box.end - box.start;
    const share = formatPercent(duration / this.stepDuration);
    const times = box.isOpen
      ? "never ended"
      : `${formatDuration(duration)} (${share} of the step), self ${formatDuration(box.selfTime)}`;
    return [
      title,
      [cls, domain].filter(Boolean).join(" · "),
      `${times}; starts at ${formatDuration(Math.max(0, box.start))}`,
      nameLane(lane),
    ];
  }

  /** Describe the ranges that last as long as a request: the number of each. */
  _listRequestLines(title, lane) {
    const { name: nameIndices, calls } = lane.requests;
    const counts = nameIndices.map(
      (nameIndex, position) => `${this.names[nameIndex][0]} ${formatCount(calls[position])}`,
    );
    return [title, counts.join(", "), "ranges as long as a request", nameLane(lane)];
  }

  _describe(...lines) {
    const elements = lines.filter(Boolean).flatMap((line, index) => {
      const element = makeName(line, 400);
      return index ? [" · ", element] : [el("strong", {}, element)];
    });
    this.description.replaceChildren(...elements);
  }
}
