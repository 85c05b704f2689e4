/* The table beside a chart, for those who read numbers: a row for each moment, the newest first. */
import { isKnown } from "./columns.js";
import { dateTime, zoneLabel } from "./zone.js";

const MOST_ROWS = 500;

/* Rows of the moments of the chart's own lines; a line of another time has moments of its own, and stands in the row
   that is nearest, or in a row of its own where the chart has none. Values that a line does not have are undefined. */
function rowsOf(lines, tolerance) {
  const byTime = new Map();
  const put = (t, i, value) => {
    if (!byTime.has(t)) byTime.set(t, Array(lines.length).fill(undefined));
    byTime.get(t)[i] = value;
  };
  lines.forEach((line, i) => { if (!line.meta.compared) line.x.forEach((t, k) => put(t, i, line.y[k])); });
  const own = [...byTime.keys()].sort((a, b) => a - b);
  lines.forEach((line, i) => {
    if (!line.meta.compared) return;
    let at = 0;
    line.x.forEach((t, k) => {
      while (at + 1 < own.length && Math.abs(own[at + 1] - t) <= Math.abs(own[at] - t)) at++;
      const isNear = own.length && Math.abs(own[at] - t) <= tolerance;
      if (isNear && isKnown(byTime.get(own[at])[i]) && !isKnown(line.y[k])) return; // a gap takes no value away
      put(isNear ? own[at] : t, i, line.y[k]);
    });
  });
  return [...byTime.entries()].sort((a, b) => b[0] - a[0]).slice(0, MOST_ROWS);
}

export function table(chart, format) {
  const lines = chart.lines(), rows = rowsOf(lines, 750 * Math.max(chart.data.interval, chart.data.step || 0));
  const element = document.createElement("table"), head = element.createTHead().insertRow(), body = element.createTBody();
  element.className = "table";
  for (const [name, number] of [[`Time (${zoneLabel})`, false], ...lines.map(line => [`${line.name}, ${chart.data.unit}`, true])]) {
    const th = document.createElement("th");
    th.scope = "col";
    th.textContent = name;
    if (number) th.className = "num";
    head.append(th);
  }
  for (const [t, values] of rows) {
    const row = body.insertRow();
    row.insertCell().textContent = dateTime(t);
    for (const value of values) {
      const cell = row.insertCell();
      cell.className = "num";
      cell.textContent = isKnown(value) ? format(value) : "unknown";
    }
  }
  chart.twin.replaceChildren(element);
}
