/* The table beside a chart, for those who read numbers: a row for each moment, the newest first. */
import { isKnown } from "./columns.js";
import { dateTime, zoneLabel } from "./zone.js";

const MOST_ROWS = 500;

/* Rows of the moments of the chart's own lines. A line of another time has moments of its own: each row takes the value
   that is nearest, and where the chart has no row near there is one more. Values that a line does not have are undefined. */
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
    const nearest = (times, t, at) => {
      while (at + 1 < times.length && Math.abs(times[at + 1] - t) <= Math.abs(times[at] - t)) at++;
      return at;
    };
    let at = 0;
    for (const t of own) {
      at = nearest(line.x, t, at);
      if (line.x.length && Math.abs(line.x[at] - t) <= tolerance) put(t, i, line.y[at]);
    }
    at = 0;
    line.x.forEach((t, k) => {
      at = nearest(own, t, at);
      if (!own.length || Math.abs(own[at] - t) > tolerance) put(t, i, line.y[k]);
    });
  });
  return [...byTime.entries()].sort((a, b) => b[0] - a[0]).slice(0, MOST_ROWS);
}

export function table(chart, format) {
  const lines = chart.lines(), rows = rowsOf(lines, 750 * Math.max(chart.data.interval, chart.data.step || 0));
  const element = document.createElement("table"), head = element.createTHead().insertRow(), body = element.createTBody();
  element.className = "table";
  const columns = lines.length ? lines.map(line => `${line.name}, ${chart.data.unit}`) : [chart.data.unit]; // nobody among the busiest
  for (const [name, number] of [[`Time (${zoneLabel})`, false], ...columns.map(column => [column, true])]) {
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
