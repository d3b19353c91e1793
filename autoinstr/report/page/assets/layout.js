// Lays the ranges of one step on rows: those of a thread below one another as they nest, all threads on one axis.

/**
 * `{rows, boxes, heads}`: `boxes` are {lane, at, row, start, end, depth, above, own, open}: `above` is the index of the box around it (-1), `own`
 * the time outside the boxes in it; `heads` are {row, lane} of the lines that name a thread; `rows` is how many lines there are.
 */
function layOut(excerpt, length) {
  const boxes = [];
  const heads = [];
  let base = 0;
  excerpt.lanes.forEach((lane, laneAt) => {
    heads.push({ row: base, lane: laneAt });
    base += 1;
    const ends = []; // of the last box on each row of this thread
    const open = []; // boxes around the next one
    let deepest = 0;
    for (let at = 0; at < lane.start.length; at++) {
      const start = lane.start[at];
      const never = lane.duration[at] < 0;
      const end = never ? Math.max(length, start) : start + lane.duration[at];
      while (open.length && boxes[open[open.length - 1]].end <= start) open.pop();
      // The latest that contains it: one that overlaps it without containing it is beside it, on another row.
      let parent = open.length - 1;
      while (parent >= 0 && boxes[open[parent]].end < end) parent--;
      const above = parent >= 0 ? open[parent] : -1;
      let depth = above >= 0 ? boxes[above].depth + 1 : 0;
      while ((ends[depth] ?? -Infinity) > start) depth++;
      ends[depth] = end;
      deepest = Math.max(deepest, depth);
      const own = end - start;
      if (above >= 0) boxes[above].own -= own;
      open.push(boxes.length);
      boxes.push({ lane: laneAt, at, row: base + depth, start, end, depth, above, own, open: never });
    }
    base += lane.start.length ? deepest + 1 : 0;
  });
  for (const box of boxes) box.own = Math.max(0, box.own);
  return { rows: base, boxes, heads };
}

/** What a box is called in little room: the last part of its path, with the list that a number belongs to. */
function shortName(path) {
  const parts = path.split(".");
  const last = parts[parts.length - 1];
  return parts.length > 1 && /^\d+$/.test(last) ? `${parts[parts.length - 2]}.${last}` : last;
}
