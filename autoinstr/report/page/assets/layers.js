// The entries of a folded list side by side: a small strip in a table cell, a large one in the
// inspector.

const WARM_RATIO = 1.15; // of an entry's time and the median: from here on the color changes
const HOT_RATIO = 1.5;
const HEAT_TOKENS = ["heat", "heat-low", "heat-high", "heat-top"];

/** Return the color token of an entry whose time is `ratio` times the median. */
function getHeatToken(ratio) {
  if (ratio >= HOT_RATIO) return "heat-top";
  if (ratio >= WARM_RATIO) return "heat-high";
  return ratio < 1 / WARM_RATIO ? "heat-low" : "heat";
}

/** Draw a bar for each mean (0: not called). With many entries, a bar is the slowest of several. */
function paintLayers(context, width, height, means) {
  const calledMeans = means.filter(Boolean);
  if (!calledMeans.length) return;
  const median = computeMedian(calledMeans);
  const slowest = findMaximum(calledMeans);
  const entriesPerBar = Math.max(1, Math.ceil(means.length / Math.max(1, Math.floor(width / 2))));
  const barCount = Math.ceil(means.length / entriesPerBar);
  const barWidth = Math.min(10, width / barCount);
  const colors = Object.fromEntries(HEAT_TOKENS.map((token) => [token, getColor(token)]));
  for (let bar = 0; bar < barCount; bar++) {
    const mean = Math.max(...means.slice(bar * entriesPerBar, (bar + 1) * entriesPerBar));
    if (!mean) continue;
    const barHeight = Math.max(2, (mean / slowest) * height);
    context.fillStyle = colors[getHeatToken(mean / median)];
    context.fillRect(
      bar * barWidth,
      height - barHeight,
      Math.max(1, barWidth - (barWidth > 3 ? 1 : 0)),
      barHeight,
    );
  }
}

/** Describe the entries: their number, the median and the slowest. */
function describeLayers(numbers, means) {
  const calledMeans = means.filter(Boolean);
  if (!calledMeans.length) return "";
  const slowest = means.indexOf(findMaximum(means));
  const median = computeMedian(calledMeans);
  const entries = countNoun(calledMeans.length, "entry", "entries");
  const ratio = formatRatio(means[slowest] / median);
  const slowestText = `slowest ${numbers[slowest]} with ${formatDuration(means[slowest])}`;
  return `${entries}: median ${formatDuration(median)} a call, ${slowestText} (${ratio})`;
}

/** Fill a table cell. */
function fillLayerCell(cell, numbers, means) {
  const description = describeLayers(numbers, means);
  if (!description) return;
  cell.title = description;
  cell.append(
    makeCellCanvas(description, 116, (context, width, height) =>
      paintLayers(context, width, height, means),
    ),
  );
}

function paintLayerChart(context, width, height, numbers, means) {
  const calledMeans = means.filter(Boolean);
  if (!calledMeans.length) return;
  const barWidth = Math.min(28, width / means.length);
  const slowest = findMaximum(calledMeans);
  const median = computeMedian(calledMeans);
  const maxHeight = height - 16;
  const labelDistance = Math.ceil(26 / barWidth);
  context.font = "10px system-ui, sans-serif";
  context.textAlign = "center";
  means.forEach((mean, entry) => {
    const barHeight = mean ? Math.max(2, (mean / slowest) * maxHeight) : 0;
    context.fillStyle = getColor(getHeatToken(mean / median));
    context.fillRect(
      entry * barWidth,
      maxHeight - barHeight,
      Math.max(0.7, barWidth - (barWidth > 3 ? 1 : 0)),
      barHeight,
    );
    if (entry % labelDistance) return;
    context.fillStyle = getColor("muted");
    context.fillText(String(numbers[entry]), entry * barWidth + barWidth / 2, height - 4);
  });
  const medianY = Math.round(maxHeight - (median / slowest) * maxHeight) + 0.5;
  context.strokeStyle = getColor("muted");
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(0, medianY);
  context.lineTo(barWidth * means.length, medianY);
  context.stroke();
  context.setLineDash([]);
}

/** Make the large strip, with a tooltip for each entry and a dashed line at the median. */
function makeLayerChart(numbers, means) {
  const { canvas } = makeChart(
    () => 72,
    (context, width, height) => paintLayerChart(context, width, height, numbers, means),
  );
  const median = computeMedian(means.filter(Boolean));
  canvas.addEventListener("mousemove", (event) => {
    const entry = Math.floor(event.offsetX / Math.min(28, canvas.clientWidth / means.length));
    if (entry < 0 || entry >= means.length) {
      hideTooltip();
      return;
    }
    const mean = means[entry];
    const times = mean
      ? `${formatDuration(mean)} a call, ${formatRatio(mean / median)} the median`
      : "not called";
    showTooltip(event, [`entry ${numbers[entry]}`, times]);
  });
  canvas.addEventListener("mouseleave", hideTooltip);
  return el("div", { role: "img", "aria-label": describeLayers(numbers, means) }, canvas);
}
