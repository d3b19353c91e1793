// What every page is made with. Text reaches the page as text alone: nothing here parses markup.

const data = JSON.parse(document.getElementById("data").textContent);
const LONGEST_NAME = 240; // characters shown of a name; the whole is in the title, and in the inspector

/** An element: `class`, `text` and `on` (listeners by event) are special, all else are attributes; null and false leave one out. */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "text") element.textContent = value;
    else if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A name that a program chose: isolated from the text around it, so that right-to-left letters turn nothing else; cut where it is long. */
function name(text, longest = LONGEST_NAME) {
  const whole = String(text);
  const letters = whole.length > longest ? Array.from(whole) : null;
  if (!letters || letters.length <= longest) return el("bdi", { text: whole });
  return el("bdi", { text: `${letters.slice(0, longest).join("")}…`, title: whole });
}

/** A section of the page, reached from the line at its top. */
function section(id, title, ...beside) {
  const heading = el("h2", { id: `${id}-title`, text: title });
  const made = el("section", { id, "aria-labelledby": heading.id }, el("div", { class: "head" }, heading, ...beside));
  document.getElementById("main").append(made);
  document.querySelector("header.top nav").append(el("a", { href: `#${id}`, text: title }));
  return made;
}

/** A row of buttons of which one is chosen, the first to begin with. `choices` are {label, value, color}; `panel` is the id of what they change. */
function tabs(label, choices, onchange, panel) {
  const row = el("div", { class: "tabs", role: "tablist", "aria-label": label });
  const mark = (at) =>
    buttons.forEach((button, other) => {
      button.setAttribute("aria-selected", String(other === at));
      button.tabIndex = other === at ? 0 : -1;
    });
  const choose = (at, focus) => {
    mark(at);
    if (focus) buttons[at].focus();
    onchange(choices[at].value);
  };
  const buttons = choices.map((choice, at) => {
    const swatch = choice.color ? el("span", { class: "swatch", "aria-hidden": "true" }) : null;
    if (swatch) swatch.style.background = choice.color;
    const attributes = { type: "button", role: "tab", "aria-controls": panel, on: { click: () => choose(at) } };
    return el("button", attributes, swatch, name(choice.label, 40));
  });
  row.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    choose((next + buttons.length) % buttons.length, true);
  });
  row.append(...buttons);
  mark(0);
  return { element: row, choose: (value) => choose(Math.max(0, choices.findIndex((choice) => choice.value === value))) };
}

/** A choice among many. */
function picker(label, options, onchange) {
  const select = el("select", { on: { change: () => onchange(Number(select.value)) } });
  options.forEach((option, at) => select.append(el("option", { value: at, text: cut(option, 90) })));
  return { element: el("label", { class: "field" }, el("span", { text: label }), select), select };
}

/** A switch that stays pressed. */
function toggle(label, hint, onchange) {
  const button = el("button", { type: "button", class: "toggle", "aria-pressed": "false", title: hint, text: label });
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    onchange(on);
  });
  return button;
}

/** A field that narrows what is below it as it is typed into. */
function search(label, onchange) {
  const input = el("input", { type: "search", placeholder: label, "aria-label": label, spellcheck: "false", autocomplete: "off" });
  input.addEventListener("input", () => onchange(input.value));
  return input;
}

function cut(text, longest) {
  const letters = Array.from(String(text));
  return letters.length > longest ? `${letters.slice(0, longest).join("")}…` : letters.join("");
}

/** A colour of the stylesheet as a canvas wants it. */
const probe = el("span", { class: "unseen", "aria-hidden": "true" });
document.body.append(probe);
function color(token) {
  probe.style.color = `var(--${token})`;
  return getComputedStyle(probe).color;
}

/** Draw on a canvas of its own size in device pixels. */
function paint(canvas, width, height, draw) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw(context, width, height);
}

/** A canvas as wide as its place, drawn again when that or the theme changes. `height()` is in CSS pixels. */
function chart(height, draw) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const redraw = () => canvas.clientWidth && paint(canvas, canvas.clientWidth, height(), draw);
  new ResizeObserver(redraw).observe(canvas);
  document.addEventListener("themechange", redraw);
  return { canvas, redraw };
}

/** What is under the pointer, in words beside it. */
const tip = document.getElementById("tip");
function showTip(event, lines) {
  tip.replaceChildren(...lines.filter(Boolean).map((line, at) => el("div", { class: at ? "" : "first" }, name(line, 400))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? Math.max(4, event.clientY - box.height - 10) : event.clientY + 18}px`;
}
function hideTip() {
  tip.hidden = true;
}
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
document.addEventListener("scroll", hideTip, { capture: true, passive: true });

// Light or dark: what the system prefers, until the button was pressed.
(() => {
  const root = document.documentElement;
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const shown = () => root.dataset.theme || (prefers.matches ? "dark" : "light");
  const say = () => {
    button.textContent = shown() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${shown() === "dark" ? "light" : "dark"} theme`);
    document.dispatchEvent(new Event("themechange"));
  };
  try {
    root.dataset.theme = localStorage.getItem("autoinstr-theme") || "";
  } catch {
    // a page from a file may have no storage
  }
  button.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("autoinstr-theme", root.dataset.theme);
    } catch {
      // it is the system's again the next time
    }
    say();
  });
  prefers.addEventListener("change", say);
  say();
})();
