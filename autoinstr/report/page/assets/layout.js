// Assign the ranges of one step to rows: those of a thread nest below one another.

/**
 * Return {rowCount, boxes, threadHeads}. A box is {lane, range, row, start, end, depth, parent,
 * selfTime, isOpen}: `lane` and `range` are indices into the excerpt, `parent` is the index of the
 * box around it (-1: none), and `selfTime` is its time outside the boxes in it. `threadHeads` are
 * {row, lane} of the rows that name a thread.
 */
function layOutRanges(excerpt, stepDuration) {
  const boxes = [];
  const threadHeads = [];
  let firstRow = 0;
  excerpt.lanes.forEach((lane, laneIndex) => {
    threadHeads.push({ row: firstRow, lane: laneIndex });
    firstRow += 1;
    const rowEnds = []; // depth -> end of the last box on that row
    const openBoxes = []; // boxes around the next one
    let maxDepth = 0;
    for (let range = 0; range < lane.start.length; range++) {
      const start = lane.start[range];
      const isOpen = lane.duration[range] < 0;
      const end = isOpen ? Math.max(stepDuration, start) : start + lane.duration[range];
      while (openBoxes.length && boxes[openBoxes[openBoxes.length - 1]].end <= start)
        openBoxes.pop();
      // The parent is the latest box that contains the range. A box that overlaps it without
      // containing it is on another row.
      let position = openBoxes.length - 1;
      while (position >= 0 && boxes[openBoxes[position]].end < end) position--;
      const parent = position >= 0 ? openBoxes[position] : -1;
      let depth = parent >= 0 ? boxes[parent].depth + 1 : 0;
      while ((rowEnds[depth] ?? -Infinity) > start) depth++;
      rowEnds[depth] = end;
      maxDepth = Math.max(maxDepth, depth);
      if (parent >= 0) boxes[parent].selfTime -= end - start;
      openBoxes.push(boxes.length);
      boxes.push({
        lane: laneIndex,
        range,
        row: firstRow + depth,
        start,
        end,
        depth,
        parent,
        selfTime: end - start,
        isOpen,
      });
    }
    firstRow += lane.start.length ? maxDepth + 1 : 0;
  });
  for (const box of boxes) box.selfTime = Math.max(0, box.selfTime);
  return { rowCount: firstRow, boxes, threadHeads };
}

/** Return the last part of a path; a list index keeps the name of its list. */
function shortenPath(path) {
  const parts = path.split(".");
  const last = parts[parts.length - 1];
  return parts.length > 1 && /^\d+$/.test(last) ? `${parts[parts.length - 2]}.${last}` : last;
}

/** Add up the ranges of an excerpt by name and thread. */
function summarizeByName(excerpt, names) {
  const rows = new Map();
  const { boxes } = layOutRanges(excerpt, 0);
  for (const box of boxes) {
    const lane = excerpt.lanes[box.lane];
    const nameIndex = lane.name[box.range];
    const key = `${nameIndex} ${box.lane}`;
    if (!rows.has(key)) {
      const [title, cls, domain] = names[nameIndex];
      const thread = `${data.processes[lane.process].label} · ${lane.thread}`;
      rows.set(key, { title, cls: cls || domain, thread, calls: 0, total: 0, selfTime: 0 });
    }
    const row = rows.get(key);
    row.calls += 1;
    row.total += box.end - box.start;
    row.selfTime += box.selfTime;
  }
  return [...rows.values()];
}
