// Assign the ranges of one step to rows: those of a thread nest below one another.

const MAX_OPEN_ROWS = 28; // with more rows, threads begin folded
const NO_RANGE = -1; // the range of a box that stands for requests

/**
 * Return {rowCount, boxes, laneHeads}. A box is {lane, range, row, start, end, depth, parent, selfTime,
 * isOpen}: `lane` and `range` are indices into the excerpt, `parent` is the index of the box around
 * it (-1: none), and `selfTime` is its time outside the boxes in it. The last row of a lane has its
 * requests, with the range NO_RANGE. `laneHeads` are {row, lane, isFolded} of the rows that name a
 * thread. `isFolded(lane)` is true, false, or undefined where the user has not decided.
 */
function layOutRanges(excerpt, stepDuration, isFolded) {
  const layouts = excerpt.lanes.map((lane, index) => layOutLane(lane, index, stepDuration));
  const folded = chooseFoldedLanes(excerpt, layouts, isFolded);
  const boxes = [];
  const laneHeads = [];
  let rowCount = 0;
  layouts.forEach((layout, lane) => {
    laneHeads.push({ row: rowCount, lane, isFolded: folded.has(lane) });
    rowCount += 1;
    if (folded.has(lane)) return;
    const firstBox = boxes.length;
    for (const box of layout.boxes) {
      const parent = box.parent < 0 ? -1 : box.parent + firstBox;
      boxes.push({ ...box, row: box.depth + rowCount, parent });
    }
    rowCount += layout.rowCount;
  });
  return { rowCount, boxes, laneHeads };
}

/** Fold the ranks behind the first, then the last threads, until the rest fits on a screen. */
function chooseFoldedLanes(excerpt, layouts, isFolded) {
  const indices = layouts.map((_, lane) => lane);
  const folded = new Set(indices.filter((lane) => isFolded(lane)));
  const getRank = (lane) => data.processes[excerpt.lanes[lane].process].rank;
  const isOtherRank = (lane) => getRank(lane) !== null && getRank(lane) !== getRank(0);
  const fromLast = indices.slice(1).reverse();
  const candidates = [
    ...fromLast.filter(isOtherRank),
    ...fromLast.filter((lane) => !isOtherRank(lane)),
  ];
  let rowCount = 0;
  for (const lane of indices) rowCount += 1 + (folded.has(lane) ? 0 : layouts[lane].rowCount);
  for (const lane of candidates) {
    if (rowCount <= MAX_OPEN_ROWS) break;
    if (folded.has(lane) || isFolded(lane) === false) continue;
    folded.add(lane);
    rowCount -= layouts[lane].rowCount;
  }
  return folded;
}

/** Return {rowCount, boxes} of one lane, without the row of its head. */
function layOutLane(lane, laneIndex, stepDuration) {
  const boxes = [];
  const rowEnds = []; // depth -> end of the last box on that row
  const openBoxes = []; // boxes around the next one
  for (let range = 0; range < lane.start.length; range++) {
    const start = lane.start[range];
    const isOpen = lane.duration[range] < 0;
    const end = isOpen ? Math.max(stepDuration, start) : start + lane.duration[range];
    while (openBoxes.length && boxes[openBoxes[openBoxes.length - 1]].end <= start) openBoxes.pop();
    // The parent is the latest box that contains the range. A box that overlaps it without
    // containing it is on another row.
    let position = openBoxes.length - 1;
    while (position >= 0 && boxes[openBoxes[position]].end < end) position--;
    const parent = position >= 0 ? openBoxes[position] : -1;
    let depth = parent >= 0 ? boxes[parent].depth + 1 : 0;
    while ((rowEnds[depth] ?? -Infinity) > start) depth++;
    rowEnds[depth] = end;
    if (parent >= 0) boxes[parent].selfTime -= end - start;
    openBoxes.push(boxes.length);
    const selfTime = end - start;
    boxes.push({ lane: laneIndex, range, start, end, depth, parent, selfTime, isOpen });
  }
  for (const box of boxes) box.selfTime = Math.max(0, box.selfTime);
  const depth = rowEnds.length;
  const { start: starts = [], duration: durations = [] } = lane.requests ?? {};
  starts.forEach((start, index) => {
    const end = start + durations[index];
    const place = { lane: laneIndex, range: NO_RANGE, depth, parent: -1 };
    boxes.push({ ...place, start, end, selfTime: 0, isOpen: false });
  });
  return { rowCount: depth + (starts.length ? 1 : 0), boxes };
}

/** Name the row of the requests of a lane. */
function nameRequests(requests) {
  return requests.count ? countNoun(requests.count, "request") : "asynchronous code";
}

/** Add up the ranges of an excerpt by name and thread. */
function summarizeByName(excerpt, names) {
  const rows = new Map();
  const getRow = (nameIndex, laneIndex) => {
    const key = `${nameIndex} ${laneIndex}`;
    if (!rows.has(key)) {
      const [title, cls, domain] = names[nameIndex];
      const thread = nameLane(excerpt.lanes[laneIndex]);
      rows.set(key, { title, cls: cls || domain, thread, calls: 0, total: 0, selfTime: 0 });
    }
    return rows.get(key);
  };
  excerpt.lanes.forEach((lane, laneIndex) => {
    for (const box of layOutLane(lane, laneIndex, 0).boxes) {
      if (box.range === NO_RANGE) continue;
      const row = getRow(lane.name[box.range], laneIndex);
      row.calls += 1;
      row.total += box.end - box.start;
      row.selfTime += box.selfTime;
    }
    lane.requests?.name.forEach((nameIndex, position) => {
      const { calls, total } = lane.requests;
      Object.assign(getRow(nameIndex, laneIndex), {
        calls: calls[position],
        total: total[position],
        selfTime: null,
      });
    });
  });
  return [...rows.values()];
}

function nameLane(lane) {
  return `${data.processes[lane.process].label} · ${lane.thread}`;
}
