// The keys of the flame view.

/** Handle a key: zoom, pan, or select the next, the outer or an inner box. */
function handleFlameKey(flame, event) {
  if (!flame.excerpt || event.ctrlKey || event.metaKey || event.altKey) return;
  const pan = (share) => {
    const shift = share * (flame.to - flame.from);
    flame.setVisible(flame.from + shift, flame.to + shift);
  };
  const zoomIn = () => flame.zoom(0.5);
  const zoomOut = () => flame.zoom(2);
  const actions = {
    ArrowRight: () => selectInRow(flame, 1),
    ArrowLeft: () => selectInRow(flame, -1),
    ArrowUp: () => selectOuter(flame),
    ArrowDown: () => selectInner(flame),
    Enter: () => flame.zoomTo(flame.selected),
    0: () => flame.setVisible(0, flame.stepDuration),
    Escape: () => flame.select(-1),
    "+": zoomIn,
    "=": zoomIn,
    "-": zoomOut,
    w: zoomIn,
    s: zoomOut,
    a: () => pan(-1 / 4),
    d: () => pan(1 / 4),
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Select the next or previous box in the row of the selected box. */
function selectInRow(flame, direction) {
  const { boxes, selected } = flame;
  if (selected < 0) return flame.select(0);
  for (let index = selected + direction; index >= 0 && index < boxes.length; index += direction) {
    if (boxes[index].row === boxes[selected].row) return flame.select(index);
  }
}

/** Select the box around the selected box, else the last outermost box of a thread above. */
function selectOuter(flame) {
  const { boxes, selected } = flame;
  if (selected < 0) return flame.select(0);
  const { parent, lane } = boxes[selected];
  if (parent >= 0) return flame.select(parent);
  for (let index = selected; index >= 0; index--) {
    if (boxes[index].lane < lane && boxes[index].parent < 0) return flame.select(index);
  }
}

/** Select the first box inside the selected box, else the first box of the next thread. */
function selectInner(flame) {
  const { boxes, selected } = flame;
  if (selected < 0) return flame.select(0);
  const inner = boxes.findIndex((box) => box.parent === selected);
  const target = inner >= 0 ? inner : boxes.findIndex((box) => box.lane > boxes[selected].lane);
  if (target >= 0) flame.select(target);
}
