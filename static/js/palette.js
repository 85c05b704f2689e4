/* Ctrl+K: a combobox over pages, clusters, groups, topics and brokers (ARIA APG, list autocomplete); "?": the keys.
   What is found is text from strangers: it is only ever set as textContent. */
import { icon } from "./format.js";

const WAIT_MS = 120;
const palette = document.getElementById("sg-palette"), keys = document.getElementById("sg-keys");
const input = palette.querySelector("input"), list = document.getElementById("sg-found"), said = palette.querySelector(".sg-palette-said");
let options = [], chosen = -1, turn = 0, timer = 0, answered = null;

function open(dialog) {
  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  dialog.showModal();
}

function openPalette() {
  open(palette);
  input.value = "";
  input.focus();
  ask();
}

async function ask() {
  const mine = ++turn, asked = input.value;
  let answer;
  try {
    const response = await fetch(`/search/?q=${encodeURIComponent(asked)}`, { headers: { Accept: "application/json" } });
    if (!response.ok || response.redirected) throw new Error(response.redirected ? "signed out" : `answer ${response.status}`);
    answer = await response.json();
  } catch (error) {
    if (mine === turn) show([], `The search did not answer: ${error.message}`);
    return;
  }
  if (mine !== turn) return; // a newer question has overtaken this answer
  answered = asked;
  show(answer.sections, answer.sections.length ? "" : `Nothing is called “${answer.query}”.`);
}

function show(sections, message) {
  options = [];
  const groups = sections.map((section, at) => {
    const group = document.createElement("div"), title = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-labelledby", (title.id = `sg-found-${at}`));
    title.className = "sg-found-title";
    title.textContent = section.more ? `${section.title}, the first ${section.items.length}` : section.title;
    group.append(title, ...section.items.map(item => option(item)));
    return group;
  });
  list.replaceChildren(...groups);
  input.setAttribute("aria-expanded", String(options.length > 0));
  said.textContent = message;
  choose(options.length ? 0 : -1);
}

function option(item) {
  const element = document.createElement("a"), text = document.createElement("span"), name = document.createElement("span"), note = document.createElement("span");
  element.id = `sg-option-${options.length}`;
  element.href = item.href;
  element.tabIndex = -1;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  name.className = "name";
  name.textContent = item.title;
  note.className = "t3 name note";
  note.textContent = item.note;
  text.append(name, " ", note);
  const picture = icon(item.icon);
  if (item.tone) picture.classList.add(item.tone);
  element.append(picture, text);
  element.addEventListener("pointermove", () => choose(options.indexOf(element)));
  options.push(element);
  return element;
}

function choose(at) {
  options[chosen]?.setAttribute("aria-selected", "false");
  chosen = at;
  const one = options[at];
  if (!one) { input.removeAttribute("aria-activedescendant"); return; }
  one.setAttribute("aria-selected", "true");
  input.setAttribute("aria-activedescendant", one.id);
  one.scrollIntoView({ block: "nearest" });
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT_MS);
});
input.addEventListener("keydown", async event => {
  const count = options.length;
  const to = { ArrowDown: (chosen + 1) % count, ArrowUp: (chosen - 1 + count) % count, Home: 0, End: count - 1 }[event.key];
  if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    clearTimeout(timer);
    if (answered !== input.value) await ask(); // typed faster than it was answered
    options[chosen]?.click();
  } else if (to !== undefined && count && !(["Home", "End"].includes(event.key) && input.value)) {
    event.preventDefault();
    choose(to);
  }
});

for (const dialog of [palette, keys]) {
  dialog.addEventListener("click", event => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}
document.addEventListener("click", event => {
  if (event.target.closest("[data-do=palette]")) openPalette();
  if (event.target.closest("[data-do=keys]")) open(keys);
});
document.addEventListener("keydown", event => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    if (palette.open) palette.close();
    else openPalette();
  } else if (event.key === "?" && !event.target.matches("input, textarea, select") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    open(keys);
  }
});
