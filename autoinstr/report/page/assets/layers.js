// The entries of a folded list, side by side: a narrow strip in a table's cell, a wide one with names where a row is looked at.

const WARM = 1.15; // times the middle entry: from here on a colour of its own
const HOT = 1.5;

/** The colour token of an entry that takes so many times what the middle one takes. */
function heat(times) {
  if (times >= HOT) return "heat-top";
  if (times >= WARM) return "heat-high";
  return times < 1 / WARM ? "heat-low" : "heat";
}

/** Bars of all `means` (0: none) in a width and height. */
function paintLayers(context, width, height, means) {
  const known = means.filter(Boolean);
  if (!known.length) return;
  const middle = median(known);
  const most = chunkMaxima(known).reduce((a, b) => Math.max(a, b));
  const each = Math.max(1, Math.ceil(means.length / Math.max(1, Math.floor(width / 2)))); // of more entries than fit, the slowest of a few
  const columns = Math.ceil(means.length / each);
  const step = Math.min(10, width / columns);
  const colors = Object.fromEntries(["heat", "heat-low", "heat-high", "heat-top"].map((token) => [token, color(token)]));
  for (let column = 0; column < columns; column++) {
    const mine = Math.max(...means.slice(column * each, (column + 1) * each));
    if (!mine) continue;
    const tall = Math.max(2, (mine / most) * height);
    context.fillStyle = colors[heat(mine / middle)];
    context.fillRect(column * step, height - tall, Math.max(1, step - (step > 3 ? 1 : 0)), tall);
  }
}

/** In words: how many, the middle one, the slowest. */
function layerWords(numbers, means) {
  const known = means.filter(Boolean);
  if (!known.length) return "";
  const slowest = means.indexOf(chunkMaxima(means).reduce((a, b) => Math.max(a, b)));
  const middle = median(known);
  return `${counted(known.length, "entry", "entries")}: median ${duration(middle)} a call, slowest ${numbers[slowest]} with ${duration(means[slowest])} (${ratio(means[slowest] / middle)})`;
}

/** A cell of a table. */
function layerCell(cell, numbers, means) {
  const words = layerWords(numbers, means);
  if (!words) return;
  const canvas = el("canvas", { role: "img", "aria-label": words });
  const width = 116;
  canvas.style.width = `${width}px`;
  paint(canvas, width, 18, (context, wide, high) => paintLayers(context, wide, high, means));
  cell.title = words;
  cell.append(canvas);
}

/** The wide strip: which entry is under the pointer is said beside it. */
function layerChart(numbers, means) {
  const { canvas } = chart(
    () => 72,
    (context, width, height) => {
      const known = means.filter(Boolean);
      if (!known.length) return;
      const step = Math.min(28, width / means.length);
      const most = chunkMaxima(known).reduce((a, b) => Math.max(a, b));
      const middle = median(known);
      const room = height - 16;
      context.font = "10px system-ui, sans-serif";
      context.textAlign = "center";
      const every = Math.ceil(26 / step);
      means.forEach((mean, at) => {
        const tall = mean ? Math.max(2, (mean / most) * room) : 0;
        context.fillStyle = color(heat(mean / middle));
        context.fillRect(at * step, room - tall, Math.max(0.7, step - (step > 3 ? 1 : 0)), tall);
        if (at % every === 0) {
          context.fillStyle = color("muted");
          context.fillText(String(numbers[at]), at * step + step / 2, height - 4);
        }
      });
      context.strokeStyle = color("muted");
      context.setLineDash([3, 3]);
      const line = Math.round(room - (middle / most) * room) + 0.5;
      context.beginPath();
      context.moveTo(0, line);
      context.lineTo(step * means.length, line);
      context.stroke();
      context.setLineDash([]);
    },
  );
  const middle = median(means.filter(Boolean));
  canvas.addEventListener("mousemove", (event) => {
    const at = Math.floor(event.offsetX / Math.min(28, canvas.clientWidth / means.length));
    if (at < 0 || at >= means.length) return hideTip();
    showTip(event, [`entry ${numbers[at]}`, means[at] ? `${duration(means[at])} a call, ${ratio(means[at] / middle)} the median` : "not called"]);
  });
  canvas.addEventListener("mouseleave", hideTip);
  return el("div", { role: "img", "aria-label": layerWords(numbers, means) }, canvas);
}
