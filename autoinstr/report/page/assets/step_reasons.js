// Why a step took longer than the median step of its kind: its parts, and the ranges that differ.

const MIN_DIFFERENCE = 0.02; // of the step, so that it is explained
const MIN_PART = 0.05; // of the difference, so that a part is named
const MAX_RANGES_SHOWN = 5;

/** Return elements that explain a step; none for a step without a median step to compare with. */
function explainStep(section, step) {
  const item = section.excerpts.get(step);
  const reference = findMedianStep(section, step);
  if (!item || !reference || reference.step === step) return [];
  const { duration } = data.steps;
  const difference = duration[step] - duration[reference.step];
  const on = { click: () => section.select(reference.step) };
  const text = `median ${nameStepKind(step)}`;
  const link = el("button", { type: "button", class: "link", text, on });
  if (Math.abs(difference) < MIN_DIFFERENCE * duration[reference.step])
    return [el("p", {}, "It takes as long as the ", link, ".")];
  const parts = listPartDifferences(step, reference.step, difference);
  const partsText = parts.map(({ label, ns }) => `${formatSigned(ns)} ${label}`).join(", ");
  const because = partsText ? `: ${partsText}` : "";
  const sum = el("p", {}, `${formatSigned(difference)} against the `, link, because, ".");
  const rows = listRangeDifferences(item, reference.item, difference);
  return rows.length ? [sum, makeDifferenceTable(section, rows)] : [sum];
}

function nameStepKind(step) {
  const { sort, kinds, kind } = data.steps;
  const noun = sort === "call" ? "call" : "step";
  return sort === "engine" || kinds.length > 1 ? `${kinds[kind[step]]} ${noun}` : noun;
}

/** Return {step, item} of the median step of the same kind, or null. */
function findMedianStep(section, step) {
  const { kind } = data.steps;
  for (const [other, item] of section.excerpts) {
    if (kind[other] === kind[step] && /\bmedian\b/.test(item.reason)) return { step: other, item };
  }
  return null;
}

/** List how the parts of vLLM's step differ, the largest difference first. */
function listPartDifferences(step, reference, difference) {
  const { steps } = data;
  const parts = [];
  let rest = difference;
  for (const label of STEP_PARTS) {
    const values = steps[`${label}_ns`];
    if (!values || values[step] === null || values[reference] === null) continue;
    parts.push({ label, ns: values[step] - values[reference] });
    rest -= values[step] - values[reference];
  }
  if (!parts.length) return [];
  parts.push({ label: REST_LABEL, ns: rest });
  return parts
    .filter(({ ns }) => Math.abs(ns) >= MIN_PART * Math.abs(difference))
    .sort((a, b) => Math.abs(b.ns) - Math.abs(a.ns));
}

/**
 * List the ranges whose self time differs most, in the direction of the step's difference:
 * {title, process, own, median, difference, lane, range}. Entries of a list are one row, unless one
 * of them has most of the difference. Functions that wait are left out.
 */
function listRangeDifferences(item, medianItem, difference) {
  const own = sumSelfTimes(item);
  const median = sumSelfTimes(medianItem);
  const groups = new Map();
  for (const key of new Set([...own.keys(), ...median.keys()])) {
    const { title, process } = own.get(key) ?? median.get(key);
    const template = title.replace(/\.\d+(?=\.|$)/g, ".[…]");
    const groupKey = `${process} ${template}`;
    const entry = {
      title,
      process,
      own: own.get(key)?.time ?? 0,
      median: median.get(key)?.time ?? 0,
      place: own.get(key) ?? null,
    };
    if (!groups.has(groupKey)) groups.set(groupKey, { template, entries: [] });
    groups.get(groupKey).entries.push(entry);
  }
  const sign = Math.sign(difference);
  const getDifference = (row) => sign * (row.own - row.median);
  return [...groups.values()]
    .map(({ template, entries }) => joinEntries(template, entries, getDifference))
    .filter((row) => getDifference(row) >= MIN_PART * Math.abs(difference))
    .sort((a, b) => getDifference(b) - getDifference(a))
    .slice(0, MAX_RANGES_SHOWN);
}

function joinEntries(template, entries, getDifference) {
  const largest = entries.reduce((a, b) => (getDifference(b) > getDifference(a) ? b : a));
  const sum = (key) => entries.reduce((total, entry) => total + entry[key], 0);
  const joint = { ...largest, title: template, own: sum("own"), median: sum("median") };
  return getDifference(largest) >= getDifference(joint) / 2 ? largest : joint;
}

/** Return the self time of each name and process, with the place of its longest range. */
function sumSelfTimes(item) {
  const { names, waiting } = data.excerpts;
  const waits = new Set(waiting);
  const sums = new Map();
  item.lanes.forEach((lane, laneIndex) => {
    for (const box of layOutLane(lane, laneIndex, 0).boxes) {
      const nameIndex = box.range === NO_RANGE ? -1 : lane.name[box.range];
      if (nameIndex < 0 || waits.has(nameIndex)) continue;
      const key = `${lane.process} ${nameIndex}`;
      let sum = sums.get(key);
      if (!sum) {
        const [title] = names[nameIndex];
        sum = { title, process: lane.process, time: 0, longest: -1, lane: laneIndex, range: 0 };
        sums.set(key, sum);
      }
      sum.time += box.selfTime;
      if (box.end - box.start > sum.longest)
        Object.assign(sum, { longest: box.end - box.start, lane: laneIndex, range: box.range });
    }
  });
  return sums;
}

function makeDifferenceTable(section, rows) {
  const severalProcesses = new Set(rows.map(({ process }) => process)).size > 1;
  const lines = rows.map((row) => {
    const { place } = row;
    const process = severalProcesses ? ` · ${data.processes[row.process].label}` : "";
    const label = makeName(row.title + process, 120);
    const on = { click: () => section.flame.showRange(place.lane, place.range) };
    const name = place ? el("button", { type: "button", class: "link", on }, label) : label;
    const times = [row.own, row.median].map(formatDuration);
    return [name, formatSigned(row.own - row.median), ...times];
  });
  const head = ["range (time outside inner ranges)", "difference", "this step", "median step"];
  return makePlainTable("The ranges that differ most", head, lines);
}
