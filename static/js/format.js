import { zoned } from "./zone.js";

/* Numbers and words as the server's templates write them (dashboard/pages/words.py), so that both agree. */
const THIN = "\u202f";
export const looks = JSON.parse(document.getElementById("sg-looks")?.textContent || "{}");
export const look = state => looks[state] || { word: String(state).replaceAll("_", " "), tone: "is-quiet", icon: "i-info" };

export const count = value => Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
export function rate(value) {
  if (value > 0 && value < 0.05) return "< 0.1";
  return value < 9.95 && value !== Math.round(value) ? value.toFixed(1) : count(value);
}
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) { value /= 1000; unit++; }
  const digits = !unit || value >= 99.5 ? value.toFixed(0) : value.toFixed(value >= 9.95 ? 1 : 2);
  return (digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits) + THIN + units[unit];
}
export function short(value) {
  for (const [at, factor, unit] of [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]]) {
    if (value >= at) return Number((value / factor).toPrecision(3)) + THIN + unit;
  }
  return count(value);
}
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}${THIN}s`;
  for (const [size, name, small, smallName] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / small);
    return `${Math.floor(whole / size)}${THIN}${name}` + (rest ? ` ${rest}${THIN}${smallName}` : "");
  }
  return "";
}
export const word = value => look(value).word;
export const text = value => zoned(String(value));
const owner = value => value || "nobody";
/* A state of the protocol in plain letters: CompletingRebalance is "completing rebalance". */
const spelt = value => String(value).replace(/([a-z])(?=[A-Z])/g, "$1 ").toLowerCase();
export const formats = { owner, spelt, count, rate, bytes, short, duration, word, text };

/* An icon of the page's own symbols; names come from a fixed table, never from strangers. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
