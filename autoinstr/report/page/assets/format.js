// Figures in words. Durations are nanoseconds.

const UNITS = [
  ["s", 1e9],
  ["ms", 1e6],
  ["µs", 1e3],
];
const NOTHING = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Three significant digits: "1.23 s", "56.7 ms", "890 ns"; from some minutes on "12 min 3 s", "5 h 6 min". */
function duration(ns) {
  if (ns === null || ns === undefined) return NOTHING;
  const seconds = Math.round(ns / 1e9);
  if (seconds >= 7200) return `${whole.format(Math.floor(seconds / 3600))} h ${Math.floor((seconds % 3600) / 60)} min`;
  if (seconds >= 300) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  for (const [unit, size] of UNITS) {
    if (ns < size * 0.9995) continue;
    const figure = ns / size;
    return `${figure.toFixed(figure < 9.995 ? 2 : figure < 99.95 ? 1 : 0)} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

/** A difference, with its sign. */
function signed(ns) {
  return ns === null || ns === undefined ? NOTHING : `${ns < 0 ? "−" : "+"}${duration(Math.abs(ns))}`;
}

/** To the nanosecond, for a title. */
function exact(ns) {
  return ns === null || ns === undefined ? "" : `${whole.format(ns)} ns`;
}

function count(number) {
  return number === null || number === undefined ? NOTHING : whole.format(number);
}

function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** "12.3 %"; what is there and rounds to nothing is "<0.1 %". */
function percent(part) {
  if (part === null || part === undefined || !Number.isFinite(part)) return NOTHING;
  return part > 0 && part < 0.0005 ? "<0.1 %" : `${(100 * part).toFixed(1)} %`;
}

function ratio(value) {
  return value === null || value === undefined || !Number.isFinite(value) ? NOTHING : `${value.toFixed(2)} ×`;
}

/** The middle of some numbers, which are not changed. */
function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
