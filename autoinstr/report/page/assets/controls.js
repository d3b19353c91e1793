// Controls: tabs, a picker, a toggle button and a search field.

/**
 * Make a row of tabs; the first is selected. `choices` are {label, value, color}. `panel` is the id
 * of the element that they change. Returns the element and a function that selects a value.
 */
function makeTabs(label, choices, onchange, panel) {
  const row = el("div", { class: "tabs", role: "tablist", "aria-label": label });
  const mark = (selected) => {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === selected));
      button.tabIndex = index === selected ? 0 : -1;
    });
  };
  const select = (index, focus) => {
    mark(index);
    if (focus) buttons[index].focus();
    onchange(choices[index].value);
  };
  const buttons = choices.map((choice, index) => {
    const swatch = choice.color ? el("span", { class: "swatch", "aria-hidden": "true" }) : null;
    if (swatch) swatch.style.background = choice.color;
    const on = { click: () => select(index) };
    const attributes = { type: "button", role: "tab", "aria-controls": panel, on };
    return el("button", attributes, swatch, makeName(choice.label, 40));
  });
  row.addEventListener("keydown", (event) => {
    const index = buttons.indexOf(document.activeElement);
    const targets = {
      ArrowRight: index + 1,
      ArrowLeft: index - 1,
      Home: 0,
      End: buttons.length - 1,
    };
    const target = targets[event.key];
    if (index < 0 || target === undefined) return;
    event.preventDefault();
    select((target + buttons.length) % buttons.length, true);
  });
  row.append(...buttons);
  mark(0);
  const findIndex = (value) =>
    Math.max(
      0,
      choices.findIndex((choice) => choice.value === value),
    );
  return { element: row, select: (value) => select(findIndex(value)) };
}

/** Make a labelled drop-down list. `onchange` gets the index of the selected option. */
function makePicker(label, options, onchange) {
  const select = el("select", { on: { change: () => onchange(Number(select.value)) } });
  options.forEach((option, index) => {
    select.append(el("option", { value: index, text: truncate(option, 90) }));
  });
  return { element: el("label", { class: "field" }, el("span", { text: label }), select), select };
}

/** Make a button that stays pressed. */
function makeToggle(label, hint, onchange) {
  const attributes = {
    type: "button",
    class: "toggle",
    "aria-pressed": "false",
    title: hint,
    text: label,
  };
  const button = el("button", attributes);
  button.addEventListener("click", () => {
    const pressed = !isPressed(button);
    button.setAttribute("aria-pressed", String(pressed));
    onchange(pressed);
  });
  return button;
}

function isPressed(toggle) {
  return toggle.getAttribute("aria-pressed") === "true";
}

/** Make a search field. `onchange` gets its text after each key. */
function makeSearch(label, onchange) {
  const input = el("input", {
    type: "search",
    placeholder: label,
    "aria-label": label,
    spellcheck: "false",
    autocomplete: "off",
  });
  input.addEventListener("input", () => onchange(input.value));
  return input;
}

/** Make the buttons that unfold and fold all rows of a table. `getTable` returns the table. */
function makeFoldButtons(getTable) {
  return [
    ["Unfold all", true],
    ["Fold all", false],
  ].map(([text, open]) =>
    el("button", { type: "button", text, on: { click: () => getTable().openAll(open) } }),
  );
}

// The theme: the system's preference until the button is pressed.
(() => {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const getTheme = () => root.dataset.theme || (prefersDark.matches ? "dark" : "light");
  const update = () => {
    const nextTheme = getTheme() === "dark" ? "light" : "dark";
    button.textContent = nextTheme === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Switch to the ${nextTheme} theme`);
    document.dispatchEvent(new Event("themechange"));
  };
  try {
    root.dataset.theme = localStorage.getItem("autoinstr-theme") || "";
  } catch {
    // A page that is opened from a file may have no storage.
  }
  button.addEventListener("click", () => {
    root.dataset.theme = getTheme() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("autoinstr-theme", root.dataset.theme);
    } catch {
      // Without storage the next visit begins with the system's theme.
    }
    update();
  });
  prefersDark.addEventListener("change", update);
  update();
})();
