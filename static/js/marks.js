/* What stands on a chart beside its lines: marks on the time axis, and stretches without data with their cause. */
import { icon } from "./format.js";
import { when, zoned } from "./zone.js";

export const MARGIN = { left: 56, right: 8 };
const PILE_PIXELS = 20;

/* Marks closer than their icons are wide are one, with their number and a list: [[mark, ...], ...]. */
function piles(chart, inside) {
  const { from, to } = chart.data, out = [];
  for (const mark of chart.data.marks.filter(mark => mark.t >= from && mark.t <= to).sort((a, b) => a.t - b.t)) {
    const pile = out.at(-1);
    if (pile && inside(mark.t) - inside(pile[0].t) < PILE_PIXELS) pile.push(mark);
    else out.push([mark]);
  }
  return out;
}
const place = chart => {
  const { from, to } = chart.data, width = chart.box.clientWidth - MARGIN.left - MARGIN.right;
  return t => MARGIN.left + (Math.min(to, Math.max(from, t)) - from) / (to - from) * width;
};
const TONES = ["is-bad", "is-warn", "is-info", "is-ok", ""];

/* Where the dotted lines stand, in milliseconds: one for each pile, at its first mark. */
export const linesOf = chart => new Set(piles(chart, place(chart)).map(pile => Math.round(pile[0].t * 1000)));

function closeList(chart) {
  chart.box.querySelector(".sg-axis-list")?.remove();
  for (const button of chart.box.querySelectorAll(".sg-axis-mark[aria-expanded=true]")) button.setAttribute("aria-expanded", "false");
}

/* What happened, and the way to see what was before it laid over what is shown; only where the page has a range. */
function markLine(mark, text) {
  const item = document.createElement("li"), said = Object.assign(document.createElement("span"), { className: "name", textContent: text });
  item.append(said);
  if (!document.querySelector(".sg-range")) return item;
  const link = document.createElement("a"), url = new URL(location.href);
  url.searchParams.set("compare", new Date(Math.floor(mark.t) * 1000).toISOString().replace(".000Z", "Z"));
  link.href = url.pathname + url.search;
  link.className = "link";
  link.textContent = "Compare with before";
  link.setAttribute("aria-label", `Compare with before ${text}`);
  item.append(" ", link);
  return item;
}

function pileElement(chart, pile, left) {
  const element = document.createElement("button"), worst = TONES.find(tone => pile.some(mark => mark.tone === tone));
  const lines = pile.map(mark => `${when(mark.t * 1000)}: ${zoned(mark.text)}`);
  element.type = "button";
  element.className = `sg-axis-mark ${worst}`;
  element.style.left = `${left}px`;
  element.title = lines.join("\n");
  element.setAttribute("aria-label", pile.length > 1 ? `${pile.length} changes: ${lines.join("; ")}` : lines[0]);
  element.append(icon(pile.find(mark => mark.tone === worst).icon));
  if (pile.length > 1) element.append(Object.assign(document.createElement("b"), { textContent: pile.length }));
  element.setAttribute("aria-expanded", String(chart.box.querySelector(".sg-axis-list")?.dataset.of === element.title));
  element.addEventListener("click", event => {
    const old = chart.box.querySelector(".sg-axis-list");
    closeList(chart);
    if (old?.dataset.of === element.title) return;
    const list = document.createElement("ul");
    list.className = "sg-axis-list";
    list.dataset.of = element.title;
    list.append(...pile.map((mark, i) => markLine(mark, lines[i])));
    list.style.left = `${Math.max(4, Math.min(left - 40, chart.box.clientWidth - 300))}px`;
    list.addEventListener("keydown", key => {
      if (key.key !== "Escape") return;
      key.stopPropagation();
      closeList(chart);
      chart.marks.querySelector(`[title="${CSS.escape(element.title)}"]`)?.focus(); // marks may have been drawn anew
    });
    element.setAttribute("aria-expanded", "true");
    chart.box.append(list); // not among the marks, which each cycle draws anew
    if (event.detail === 0) list.querySelector("a")?.focus(); // by key
  });
  return element;
}

/* Icons on the time axis, each with its sentence. */
export function marks(chart) {
  const { from, to } = chart.data, inside = place(chart);
  chart.marks ??= chart.box.appendChild(Object.assign(document.createElement("div"), { className: "sg-axis-marks" }));
  chart.gaps ??= chart.box.appendChild(Object.assign(document.createElement("div"), { className: "sg-axis-gaps" }));
  chart.gaps.replaceChildren(...chart.data.gaps.filter(gap => gap.to > from && gap.from < to).map(gap => {
    const element = document.createElement("span");
    element.className = "sg-hatch";
    element.style.left = `${inside(gap.from)}px`;
    element.style.width = `${Math.max(1, inside(gap.to) - inside(gap.from))}px`;
    element.title = zoned(gap.why);
    if (inside(gap.to) - inside(gap.from) > 90) {
      element.append(Object.assign(document.createElement("i"), { className: "name", textContent: zoned(gap.why) }));
    }
    return element;
  }));
  chart.marks.replaceChildren(...piles(chart, inside).map(pile => pileElement(chart, pile, inside(pile[0].t))));
}
