// Building blocks of every page. Text is always set as text: no function here parses markup.

const data = JSON.parse(document.getElementById("data").textContent);
const MAX_NAME_LENGTH = 240; // characters; the title and the inspector have the complete name

/**
 * Make an element. `class`, `text` and `on` (event -> listener) are special properties; all others
 * are attributes. A value of null, undefined or false omits the attribute.
 */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "text") element.textContent = value;
    else if (key === "on") {
      for (const [event, listener] of Object.entries(value))
        element.addEventListener(event, listener);
    } else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function truncate(text, maxLength) {
  const characters = Array.from(String(text));
  return characters.length > maxLength
    ? `${characters.slice(0, maxLength).join("")}…`
    : String(text);
}

/**
 * Make an element for a name that a program chose. It is isolated, so that right-to-left letters do
 * not reorder the text around it. A long name is truncated.
 */
function makeName(text, maxLength = MAX_NAME_LENGTH) {
  const completeName = String(text);
  const shortName =
    completeName.length > maxLength ? truncate(completeName, maxLength) : completeName;
  return el("bdi", { text: shortName, title: shortName === completeName ? null : completeName });
}

/** Add a section to the page and a link to it at the top. `extras` stand beside the heading. */
function addSection(id, title, ...extras) {
  const heading = el("h2", { id: `${id}-title`, text: title });
  const head = el("div", { class: "head" }, heading, ...extras);
  const section = el("section", { id, "aria-labelledby": heading.id }, head);
  document.getElementById("main").append(section);
  document.querySelector("header.top nav").append(el("a", { href: `#${id}`, text: title }));
  return section;
}

/** Add a note beside the heading of a section. */
function addNote(section, text) {
  const note = el("span", { class: "note", text });
  section.querySelector(".head").append(note);
  return note;
}

/** Make a scrollable table. `rows` are arrays of cells: a row header, then strings or elements. */
function makePlainTable(label, head, rows, extraClass = "") {
  const headCells = head.map((text) => el("th", { scope: "col", text }));
  const bodyRows = rows.map(([rowHeader, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, rowHeader), ...cells.map((cell) => el("td", {}, cell))),
  );
  const table = el(
    "table",
    { class: `plain ${extraClass}`.trim() },
    el("thead", {}, el("tr", {}, ...headCells)),
    el("tbody", {}, ...bodyRows),
  );
  return el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": label }, table);
}
