// Canvases and the tooltip.

const colorProbe = el("span", { class: "visually-hidden", "aria-hidden": "true" });
document.body.append(colorProbe);

const resolvedColors = new Map(); // of the current theme
document.addEventListener("themechange", () => resolvedColors.clear());

/** Return a color in the form that a canvas takes, with the light or dark variant of the theme. */
function resolveColor(value) {
  if (!resolvedColors.has(value)) {
    colorProbe.style.color = value;
    resolvedColors.set(value, getComputedStyle(colorProbe).color);
  }
  return resolvedColors.get(value);
}

/** Return a color of the stylesheet in the form that a canvas takes. */
function getColor(token) {
  return resolveColor(`var(--${token})`);
}

/** Draw on a canvas. `width` and `height` are CSS pixels; the canvas gets device pixels. */
function paintCanvas(canvas, width, height, draw) {
  const pixelRatio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * pixelRatio));
  canvas.height = Math.max(1, Math.round(height * pixelRatio));
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
  draw(context, width, height);
}

/**
 * Make a canvas as wide as its container. It is redrawn when the width or the theme changes.
 * `getHeight()` returns CSS pixels.
 */
function makeChart(getHeight, draw) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const redraw = () =>
    canvas.clientWidth && paintCanvas(canvas, canvas.clientWidth, getHeight(), draw);
  new ResizeObserver(redraw).observe(canvas);
  document.addEventListener("themechange", redraw);
  return { canvas, redraw };
}

/** Make a small canvas for a table cell. `label` describes it. */
function makeCellCanvas(label, width, draw) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  canvas.style.width = `${width}px`;
  paintCanvas(canvas, width, 18, draw);
  return canvas;
}

const tooltip = document.getElementById("tip");

/** Show lines of text beside the pointer. */
function showTooltip(event, lines) {
  const elements = lines
    .filter(Boolean)
    .map((line, index) => el("div", { class: index ? "" : "first" }, makeName(line, 400)));
  tooltip.replaceChildren(...elements);
  tooltip.hidden = false;
  const box = tooltip.getBoundingClientRect();
  const below = event.clientY + 18;
  const top =
    below + box.height > innerHeight ? Math.max(4, event.clientY - box.height - 10) : below;
  tooltip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tooltip.style.top = `${top}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
}

document.addEventListener("keydown", (event) => event.key === "Escape" && hideTooltip());
document.addEventListener("scroll", hideTooltip, { capture: true, passive: true });
