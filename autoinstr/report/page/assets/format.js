// Numbers as text. Durations are nanoseconds.

const DURATION_UNITS = [
  ["s", 1e9],
  ["ms", 1e6],
  ["µs", 1e3],
];
const NO_VALUE = "–";
const integerFormat = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function isMissing(value) {
  return value === null || value === undefined;
}

/**
 * Format a duration with three significant digits: "1.23 s", "56.7 ms", "890 ns". From five minutes
 * on, the format is "12 min 3 s", then "5 h 6 min".
 */
function formatDuration(ns) {
  if (isMissing(ns)) return NO_VALUE;
  const seconds = Math.round(ns / 1e9);
  if (seconds >= 7200) {
    const hours = integerFormat.format(Math.floor(seconds / 3600));
    return `${hours} h ${Math.floor((seconds % 3600) / 60)} min`;
  }
  if (seconds >= 300) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  for (const [unit, size] of DURATION_UNITS) {
    if (ns < size * 0.9995) continue;
    const value = ns / size;
    const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return `${value.toFixed(decimals)} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

/** Format a difference, with its sign. */
function formatSigned(ns) {
  return isMissing(ns) ? NO_VALUE : `${ns < 0 ? "−" : "+"}${formatDuration(Math.abs(ns))}`;
}

/** Format a duration to the nanosecond, for a title. */
function formatExact(ns) {
  return isMissing(ns) ? "" : `${integerFormat.format(ns)} ns`;
}

/** Format a number with three digits, as the terminal does. */
function formatDigits(value) {
  const size = Math.abs(value);
  if (size > 0 && size < 0.001) return value > 0 ? "<0.001" : ">-0.001";
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString("en-US", options);
}

function formatAmount(number) {
  if (isMissing(number)) return NO_VALUE;
  const letters = [
    ["B", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ];
  const [letter, factor] = letters.find((entry) => number >= entry[1] * 0.9995) ?? [];
  return letter ? `${formatDigits(number / factor)}${letter}` : number.toFixed(0);
}

function formatBytes(size) {
  const units = [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ];
  const [unit, factor] = units.find((entry) => Math.abs(size) >= entry[1] * 0.9995) ?? [];
  return unit ? `${formatDigits(size / factor)} ${unit}` : `${size.toFixed(0)} B`;
}

function formatCount(number) {
  return isMissing(number) ? NO_VALUE : integerFormat.format(number);
}

/** Format a count with its noun: "1 process", "12,345 ranges". */
function countNoun(number, singular, plural = `${singular}s`) {
  return `${formatCount(number)} ${number === 1 ? singular : plural}`;
}

/** Format a share: "12.3 %". A share that rounds to zero is "<0.1 %". */
function formatPercent(share) {
  if (isMissing(share) || !Number.isFinite(share)) return NO_VALUE;
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function formatRatio(ratio) {
  return isMissing(ratio) || !Number.isFinite(ratio) ? NO_VALUE : `${ratio.toFixed(2)} ×`;
}

/** Return the median of numbers, without changing them. */
function computeMedian(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Math.max takes an array's entries as arguments, and their number is limited.
function findMaximum(numbers) {
  let maximum = -Infinity;
  for (const number of numbers) if (number > maximum) maximum = number;
  return maximum;
}

function findMinimum(numbers) {
  let minimum = Infinity;
  for (const number of numbers) if (number < minimum) minimum = number;
  return minimum;
}
