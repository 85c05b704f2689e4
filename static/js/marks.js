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
  element.addEventListener("click", () => {
    const old = chart.box.querySelector(".sg-axis-list");
    old?.remove();
    if (old?.dataset.of === element.title) return;
    const list = document.createElement("ul");
    list.className = "sg-axis-list";
    list.dataset.of = element.title;
    list.append(...lines.map(line => Object.assign(document.createElement("li"), { className: "name", textContent: line })));
    list.style.left = `${Math.max(4, Math.min(left - 40, chart.box.clientWidth - 300))}px`;
    chart.box.append(list);
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
