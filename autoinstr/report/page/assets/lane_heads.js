// The heads of the flame view: a button for each thread, which folds and unfolds its ranges.

class LaneHeads {
  /** `ontoggle(lane, isFolded)` is called when the user folds or unfolds a lane. */
  constructor(ontoggle) {
    this.ontoggle = ontoggle;
    this.element = el("div", { class: "lane-heads" });
  }

  /** Show the heads of a layout. */
  show(excerpt, heads) {
    this.element.replaceChildren(
      ...heads.map(({ row, lane, isFolded }) => {
        const { start, requests, device } = excerpt.lanes[lane];
        const noun = device ? "kernel" : "range";
        const rangeCount = start.length ? countNoun(start.length, noun) : "";
        const counts = [rangeCount, requests && nameRequests(requests)].filter(Boolean).join(", ");
        const label = nameLane(excerpt.lanes[lane]) + (isFolded ? ` · ${counts}` : "");
        const button = el("button", {
          type: "button",
          "aria-expanded": String(!isFolded),
          title: isFolded ? "Show the ranges of this thread" : "Hide the ranges of this thread",
          on: { click: () => this.ontoggle(lane, !isFolded) },
        });
        button.append(makeName(label, 160));
        button.style.top = `${AXIS_HEIGHT + row * BOX_HEIGHT}px`;
        return button;
      }),
    );
  }
}
