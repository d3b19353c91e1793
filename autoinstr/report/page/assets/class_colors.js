// Colors of module classes: one for each class of the page, the same in all its steps.

// Hues of OKLCH. Neighbours in this list differ much.
const CLASS_HUES = [250, 70, 160, 340, 100, 220, 40, 310, 130, 280, 190, 10];
// Lightness and chroma in the light theme, then in the dark theme.
const CLASS_TONES = [
  [0.85, 0.085, 0.45, 0.085],
  [0.77, 0.11, 0.53, 0.1],
  [0.91, 0.05, 0.36, 0.07],
];
const COLORS_OF_HUES = CLASS_HUES.length * CLASS_TONES.length;

/** Return class -> color for all classes of data.excerpts, in order of their first range. */
function assignClassColors(names) {
  const classes = [...new Set(names.map(([, cls]) => cls))].filter(Boolean);
  const rounds = Math.ceil(classes.length / COLORS_OF_HUES);
  return new Map(classes.map((cls, index) => [cls, makeClassColor(index, rounds)]));
}

/** With more classes than colors, each further round has its own hues between those of the list. */
function makeClassColor(index, rounds) {
  const round = Math.floor(index / COLORS_OF_HUES);
  const position = index % COLORS_OF_HUES;
  const tone = CLASS_TONES[Math.floor(position / CLASS_HUES.length)];
  const hue = CLASS_HUES[position % CLASS_HUES.length] + (30 * round) / rounds;
  const [lightL, lightC, darkL, darkC] = tone;
  return `light-dark(oklch(${lightL} ${lightC} ${hue}), oklch(${darkL} ${darkC} ${hue}))`;
}

const MAX_LEGEND_CLASSES = 18; // without a click

/** The legend of the flame view: the classes of a step, the heaviest first. */
class ClassLegend {
  constructor() {
    this.element = el("ul", { class: "legend classes", "aria-label": "Colors" });
    this.showsAll = false;
  }

  /** Show [label, color] pairs. */
  show(entries) {
    const shown = this.showsAll ? entries : entries.slice(0, MAX_LEGEND_CLASSES);
    const items = shown.map(([label, color]) => {
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = color;
      return el("li", {}, swatch, makeName(label, 48));
    });
    if (shown.length < entries.length) {
      const text = `${formatCount(entries.length - shown.length)} more`;
      const on = {
        click: () => {
          this.showsAll = true;
          this.show(entries);
        },
      };
      items.push(el("li", {}, el("button", { type: "button", class: "link", text, on })));
    }
    this.element.replaceChildren(...items);
  }
}
