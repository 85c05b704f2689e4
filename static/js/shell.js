import { clock, zone, zoneLabel } from "./zone.js";

// What every page does without the socket: theme, menus, keys, the countdown of the demo's strip.

const root = document.documentElement;
const YEAR = 365 * 24 * 3600;

function isDark() {
  if (root.dataset.bsTheme) return root.dataset.bsTheme === "dark";
  return !matchMedia("(prefers-color-scheme: light)").matches;
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  root.dataset.bsTheme = theme;
  document.cookie = `sg_theme=${theme}; path=/; max-age=${YEAR}; samesite=lax`;
  document.dispatchEvent(new Event("sg:theme"));
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-do=theme]")) switchTheme();
  const fill = event.target.closest("[data-fill]");
  if (fill) document.getElementById(fill.dataset.fill).value = fill.dataset.value;
  for (const menu of document.querySelectorAll("details.sg-pop[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});

matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  if (!root.dataset.bsTheme) document.dispatchEvent(new Event("sg:theme"));
});

// Keys: "/" goes to the list's search (or opens the palette); "g" and a letter goes to a section.
let pressedG = -Infinity;
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.sg-pop[open]");
  if (event.key === "Escape" && menu) {
    menu.removeAttribute("open");
    menu.querySelector("summary").focus();
    return;
  }
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    const field = document.querySelector("[data-key='/']");
    event.preventDefault();
    if (field) field.focus();
    else document.querySelector("[data-do=palette]")?.click();
    return;
  }
  if (event.key === "s") {
    document.querySelector("[data-do=star]")?.click();
    return;
  }
  const section = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
  const follows = event.timeStamp - pressedG < 1500;
  if (follows && section) section.click(); // "g g" too
  pressedG = event.key === "g" && !follows ? event.timeStamp : -Infinity;
});

// The countdown: a number that ticks is not a live region.
function countDown() {
  for (const span of document.querySelectorAll("[data-countdown]")) {
    const left = Math.floor(Number(span.dataset.countdown) - Date.now() / 1000);
    if (left < 0) {
      span.closest("[data-demo-strip]")?.setAttribute("hidden", "");
      continue;
    }
    span.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
}
function tellTime() {
  for (const span of document.querySelectorAll("[data-clock]")) span.textContent = `${clock(Date.now())} ${zone === "UTC" ? "UTC" : zoneLabel}`;
}
setInterval(() => { countDown(); tellTime(); }, 1000);
countDown();
