/* Big charts: a first picture on canvas at once, then Plotly (loaded once, when a chart comes into view), then live
   points. Only charts in view are drawn, one per animation frame; a zoomed view stays while data stream in. */
import { TYPE, decode, grown, isKnown } from "./columns.js";
import { formats, short } from "./format.js";
import { isPaused, now } from "./live.js";
import { MARGIN, linesOf, marks } from "./marks.js";
import { table } from "./twin.js";
import { axisMoment, axisText, clock, dateTime, zoneLabel } from "./zone.js";

const MOST_POINTS = 700;
const ENDED_MS = 150000; // sizes are asked once a minute, rollups a minute later
const charts = new Map(); // figure element -> chart
const queue = new Set();
let painting = false;
let plotly = null;
let lost = false; // the line was down
let zoom = null; // [from, to] in unix seconds, shared by all charts of the page

const axisFormat = unit => (unit === "bytes" ? formats.bytes : unit === "seconds" ? formats.duration : unit.endsWith("/s") ? value => `${formats.rate(value)}/s` : short);

// --- colours ----------------------------------------------------------------------------------------------

const probe = document.createElement("canvas").getContext("2d");
function colour(text) {
  const found = /^var\((--[\w-]+)\)(?:\/([\d.]+))?$/.exec(text);
  if (!found) return text;
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(found[1]).trim() || "#888";
  if (!found[2]) return probe.fillStyle;
  const [r, g, b] = [1, 3, 5].map(i => parseInt(probe.fillStyle.slice(i, i + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${found[2]})`;
}
function coloured(value) {
  if (typeof value === "string") return colour(value);
  if (Array.isArray(value)) return value.map(coloured); // however many: shapes are written into afterwards
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
  return value;
}

// --- loading ----------------------------------------------------------------------------------------------

const library = () => (plotly ??= new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = document.body.dataset.plotly;
  script.onload = () => resolve(window.Plotly);
  script.onerror = () => reject(new Error("the chart library did not load"));
  document.head.append(script);
}));

async function load(chart) {
  const url = new URL(chart.figure.dataset.src, location.href);
  if (zoom) {
    url.searchParams.set("from", Math.round(zoom[0] * 1000));
    url.searchParams.set("to", Math.round(zoom[1] * 1000));
  }
  url.searchParams.set("format", "columns");
  url.searchParams.set("points", Math.max(100, Math.round(chart.box.clientWidth)));
  const turn = (chart.turn = (chart.turn || 0) + 1);
  let answer;
  try {
    const response = await fetch(url, { headers: { Accept: `${TYPE}, application/json` } });
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error || `answer ${response.status}`);
    answer = decode(await response.arrayBuffer());
  } catch (error) {
    if (!chart.data) wait(chart, `The chart could not be fetched: ${error.message}`);
    return;
  }
  if (turn !== chart.turn) return; // a newer zoom has overtaken this answer
  chart.data = answer;
  chart.isOld = false;
  const label = chart.figure.querySelector("[data-resolution]");
  if (label) label.textContent = `${answer.unit}, ${answer.resolution}`;
  if (answer.empty && !chart.lines().some(line => line.y.some(isKnown))) {
    const waits = chart.wait?.querySelector("[data-f=waiting]")?.textContent; // the first minute says what it waits for
    wait(chart, waits || answer.notes[0] || "No samples in this range.");
  }
  if (!chart.begun) first(chart);
  draw(chart);
}

/* Fetch anew what live points cannot tell: after a gap, for a new mark. Several reasons make one fetch. */
function refresh(chart) {
  if (zoom || !chart.data || isPaused()) return;
  clearTimeout(chart.refreshing);
  chart.refreshing = setTimeout(() => {
    if (chart.inView && !document.hidden) load(chart);
    else chart.isOld = true; // fetched when it comes into view
  }, 500 + Math.random() * 500);
}

function wait(chart, message) {
  if (!chart.wait) return;
  if (message && chart.wait.textContent !== message) chart.wait.textContent = message;
  chart.wait.hidden = false;
}

// --- drawing ----------------------------------------------------------------------------------------------

/* The stylesheet's height: the box itself holds more than the plot, and would grow with each drawing. */
const heightOf = chart => parseFloat(getComputedStyle(chart.box).minHeight) || 240;

/* The first picture: lines on a canvas in the place where Plotly will draw them. */
function first(chart) {
  const width = chart.box.clientWidth, height = heightOf(chart), scale = devicePixelRatio || 1;
  const values = chart.lines().flatMap(line => [...line.y.filter(isKnown)]);
  if (!values.length) return;
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d");
  canvas.width = width * scale;
  canvas.height = height * scale;
  g.scale(scale, scale);
  const high = Math.max(...values) || 1, from = chart.data.from * 1000, to = chart.data.to * 1000;
  const x = t => MARGIN.left + ((t - from) / (to - from)) * (width - MARGIN.left - MARGIN.right);
  const y = v => height - 28 - (v / high) * (height - 48);
  for (const line of chart.lines()) {
    g.strokeStyle = colour(line.line.color);
    g.lineWidth = 1.5;
    g.beginPath();
    let pen = false;
    line.x.forEach((t, i) => {
      const v = line.y[i];
      if (!isKnown(v)) { pen = false; return; }
      g[pen ? "lineTo" : "moveTo"](x(t), y(v));
      pen = true;
    });
    g.stroke();
  }
  chart.plot.replaceChildren(canvas);
  if (chart.wait) chart.wait.hidden = true;
}

function draw(chart) {
  if (!chart.inView || !chart.data) return;
  queue.add(chart);
  if (!painting) requestAnimationFrame(next);
  painting = true;
}

async function next() {
  const [chart] = queue;
  queue.delete(chart);
  try {
    // one at a time: a second first picture would throw away what the first is still drawing into
    const library_ = await library().catch(() => null);
    if (library_ && chart.data) await paint(library_, chart);
  } finally {
    painting = queue.size > 0;
    if (painting) requestAnimationFrame(next);
  }
}

/* One at a time for each chart: two first drawings at once would clear each other's picture, for good. */
async function paint(library_, chart) {
  if (chart.painting) { chart.again = true; return; }
  chart.painting = true;
  try { await picture(library_, chart); } finally { chart.painting = false; }
  if (chart.again) { chart.again = false; draw(chart); }
}

async function picture(library_, chart) {
  const { figure } = chart.data, some = chart.lines().some(line => line.y.some(isKnown));
  legend(chart);
  if (chart.twin && !some) table(chart, axisFormat(chart.data.unit)); // nothing to draw is said in the table, too
  if (!some && !chart.drawn) return;
  if (chart.wait && some) chart.wait.hidden = true;
  const data = figure.data.map(trace => {
    const hidden = chart.solo && trace.meta.key !== chart.solo || chart.off.has(trace.meta.key);
    return { ...coloured({ ...trace, x: null, y: null }), x: Array.from(trace.x, at => axisText(at)), y: trace.y, visible: !hidden };
  });
  const layout = coloured(figure.layout);
  layout.font.family = getComputedStyle(document.body).fontFamily;
  layout.xaxis.range = [axisText(chart.data.from * 1000), axisText(chart.data.to * 1000)];
  layout.height = heightOf(chart);
  const lines = linesOf(chart);
  layout.shapes = layout.shapes.filter(shape => shape.name !== "mark" || lines.delete(shape.x0));
  for (const shape of layout.shapes) if (shape.xref === "x") { shape.x0 = axisText(shape.x0); shape.x1 = axisText(shape.x1); }
  layout.annotations.push({
    xref: "paper", yref: "paper", x: 1, y: 1, xanchor: "right", yanchor: "bottom", showarrow: false, name: "zone",
    text: zoneLabel, font: layout.annotations[0].font,
  });
  layout.uirevision = zoom ? zoom.join() : "live"; // else Plotly keeps the range that was dragged, for ever
  if (!chart.begun) chart.plot.replaceChildren(); // the first picture goes
  chart.begun = true;
  await library_.react(chart.plot, data, layout, { displayModeBar: false, responsive: true, doubleClick: false });
  if (!chart.drawn) listen(chart);
  chart.drawn = true;
  chart.figure.dataset.drawn = "1";
  marks(chart);
  if (chart.twin) table(chart, axisFormat(chart.data.unit));
}

/* The newest value of a line, or until when there was one: what ended is not what is. */
function newest(chart, line) {
  const at = line.y.findLastIndex(isKnown), format = axisFormat(chart.data.unit);
  if (at < 0) return "unknown";
  const late = chart.data.to * 1000 - line.x[at] > Math.max(ENDED_MS, 3000 * Math.max(chart.data.interval, chart.data.step || 0));
  return late && !line.meta.compared ? `until ${clock(line.x[at])}` : format(line.y[at]);
}

function legend(chart) {
  const box = chart.figure.querySelector(".sg-leg");
  const values = [];
  const buttons = chart.lines().map(line => {
    const button = document.createElement("button"), swatch = document.createElement("i"), value = document.createElement("b");
    button.type = "button";
    swatch.style.background = colour(line.line.color);
    value.className = "num";
    values.push({ line, value });
    value.textContent = newest(chart, line);
    button.append(swatch, line.name, " ", value);
    button.setAttribute("aria-pressed", String(!(chart.solo && chart.solo !== line.meta.key) && !chart.off.has(line.meta.key)));
    button.addEventListener("click", event => {
      const key = line.meta.key;
      if (event.ctrlKey || event.shiftKey || event.metaKey) chart.off.has(key) ? chart.off.delete(key) : chart.off.add(key);
      else { chart.off.clear(); chart.solo = chart.solo === key ? null : key; }
      draw(chart);
    });
    return button;
  });
  chart.values = values;
  box.replaceChildren(...buttons);
}

/* The legend says the newest values, or those at the crosshair. */
function say(chart, at) {
  const format = axisFormat(chart.data.unit);
  for (const { line, value } of chart.values || []) {
    if (at === null) {
      value.textContent = newest(chart, line);
      continue;
    }
    const i = line.x.findIndex(t => t >= at), k = i > 0 && at - line.x[i - 1] < line.x[i] - at ? i - 1 : i;
    const shown = k < 0 ? null : line.y[k];
    value.textContent = isKnown(shown) ? format(shown) : "unknown";
  }
}

// --- zoom and crosshair -----------------------------------------------------------------------------------

function listen(chart) {
  chart.plot.on("plotly_relayout", change => {
    const from = change["xaxis.range[0]"], to = change["xaxis.range[1]"];
    if (from === undefined || to === undefined || chart.setting) return;
    setZoom([axisMoment(from) / 1000, axisMoment(to) / 1000]);
  });
  chart.plot.on("plotly_doubleclick", () => setZoom(null));
  chart.plot.on("plotly_hover", event => cross(chart, event.xvals?.[0] ?? event.points?.[0]?.x));
  chart.plot.on("plotly_unhover", () => cross(chart, null));
}

/* A zoom is an address: Back goes to the range before it. */
function setZoom(range) {
  const url = new URL(location.href);
  if (range) {
    url.searchParams.set("from", Math.round(range[0] * 1000));
    url.searchParams.set("to", Math.round(range[1] * 1000));
  } else {
    const menu = document.querySelector(".sg-range"); // what the page was made for; pages without a choice of range have none
    for (const name of ["from", "to"]) {
      const made = menu?.querySelector(`[name="${name}"]`)?.value;
      made ? url.searchParams.set(name, made) : url.searchParams.delete(name);
    }
  }
  if (url.href !== location.href) history.pushState({ zoom: range }, "", url);
  showZoom(range);
}

const rangeOf = href => ["from", "to"].map(name => new URL(href).searchParams.get(name) || "").join();

function showZoom(range) {
  zoom = range;
  document.body.classList.toggle("sg-zoomed", Boolean(range));
  const label = document.querySelector("[data-range-label]"), hm = t => clock(t * 1000);
  if (label) {
    label.dataset.was ??= label.textContent;
    label.textContent = range ? `${hm(range[0])} to ${hm(range[1])}` : label.dataset.was;
  }
  for (const button of document.querySelectorAll('[data-do="unzoom"]')) button.hidden = !range;
  for (const chart of charts.values()) load(chart);
}

function cross(source, x) {
  const at = x === null || x === undefined ? null : axisMoment(x);
  for (const chart of charts.values()) {
    if (chart.drawn) say(chart, at);
    if (!chart.drawn || chart === source) continue;
    chart.cross ??= chart.box.appendChild(Object.assign(document.createElement("div"), { className: "sg-cross" }));
    const { from, to } = chart.data, share = at === null || at === undefined ? -1 : (at / 1000 - from) / (to - from);
    chart.cross.hidden = share < 0 || share > 1;
    chart.cross.style.left = `${MARGIN.left + share * (chart.box.clientWidth - MARGIN.left - MARGIN.right)}px`;
  }
}

/* The address of what is seen, that shows the same whenever it is opened: with absolute times. */
async function copyLink() {
  const [chart] = charts.values(), url = new URL(location.href);
  const [from, to] = zoom || (chart?.data ? [chart.data.from, chart.data.to] : []);
  if (from) {
    url.searchParams.set("from", Math.round(from * 1000));
    url.searchParams.set("to", Math.round(to * 1000));
  }
  let copied = false;
  try {
    await navigator.clipboard.writeText(url.href);
    copied = true;
  } catch { /* no clipboard without TLS: the address is shown to be copied by hand */ }
  document.dispatchEvent(new CustomEvent("sg:say", { detail: copied ? { head: "Link copied", text: `${dateTime(from * 1000)} to ${dateTime(to * 1000)}, ${zoneLabel}` } : { head: "Copy this link", text: url.href } }));
}

// --- live points ------------------------------------------------------------------------------------------

function extend(chart, points) {
  const span = Number(chart.figure.dataset.liveRange);
  if (!span || zoom || !chart.data || !points || points.t <= (chart.last || 0)) return;
  chart.last = points.t;
  const at = Math.round(points.t * 1000), from = (points.t - span) * 1000;
  for (const trace of chart.data.figure.data) {
    const newest = trace.x.at(-1);
    if (newest !== undefined && at <= newest) continue;
    const value = points[trace.meta.key];
    if (value === undefined) continue;
    if (newest !== undefined && at - newest > 2500 * Math.max(chart.data.interval, chart.data.step || 0)) {
      trace.x = grown(trace.x, newest + 1); // a gap until the server says what was in it
      trace.y = grown(trace.y, null);
      refresh(chart);
    }
    trace.x = grown(trace.x, at);
    trace.y = grown(trace.y, value);
    if (isKnown(value) !== isKnown(trace.y.at(-2))) refresh(chart); // the server says why it is not known
    let old = 0;
    while (old < trace.x.length - 1 && (trace.x[old] < from || trace.x.length - old > MOST_POINTS)) old++;
    if (old) { trace.x = trace.x.slice(old); trace.y = trace.y.slice(old); }
  }
  chart.data.to = Math.max(points.t, now());
  chart.data.from = chart.data.to - span;
  draw(chart);
}

/* A page whose address names no range shows what history there is, and more of it as it grows. */
function grow() {
  const label = document.querySelector("[data-range-steps]");
  if (!label || zoom) return;
  const since = Number(label.dataset.historySince) || (label.dataset.historySince = now());
  const steps = JSON.parse(label.dataset.rangeSteps);
  const [seconds, from, said] = steps.find(([span]) => now() - since <= span) || steps.at(-1);
  if (label.textContent === said) return;
  label.textContent = said;
  label.closest("summary")?.setAttribute("aria-label", `Time range: ${said}`);
  const field = document.querySelector('.sg-range [name="from"]');
  if (field) field.value = from;
  for (const link of document.querySelectorAll(".sg-range .quick:not(.compare) a")) {
    const params = new URL(link.href).searchParams;
    if (params.get("from") === from && params.get("to") === "now") link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const chart of charts.values()) {
    const source = new URL(chart.figure.dataset.src, location.href);
    source.searchParams.set("from", from);
    chart.figure.dataset.src = source.pathname + source.search;
    chart.figure.dataset.liveRange = seconds;
    refresh(chart);
  }
}

// --- the table twin ---------------------------------------------------------------------------------------

function toggleTable(chart, button) {
  if (chart.twin) { chart.twin.remove(); chart.twin = null; }
  else {
    chart.twin = chart.figure.appendChild(Object.assign(document.createElement("div"), { className: "sg-twin", tabIndex: 0 }));
    chart.twin.setAttribute("role", "region");
    chart.twin.setAttribute("aria-label", button.getAttribute("aria-label"));
    if (chart.data) table(chart, axisFormat(chart.data.unit));
  }
  button.setAttribute("aria-pressed", String(Boolean(chart.twin)));
}

// --- start ------------------------------------------------------------------------------------------------

const seen = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const chart = charts.get(entry.target);
    if (!chart) continue;
    chart.inView = entry.isIntersecting;
    if (!chart.inView) continue;
    if (chart.data && !chart.isOld) draw(chart);
    else load(chart);
  }
}, { rootMargin: "100px" });

/* Charts of a part of the page that is not known yet; those that were taken out are forgotten. */
export function mount(root = document) {
  for (const figure of [...charts.keys()]) if (!figure.isConnected) { seen.unobserve(figure); clearInterval(charts.get(figure).timer); charts.delete(figure); }
  for (const figure of root.querySelectorAll("figure[data-chart]")) {
    if (charts.has(figure)) continue;
    const box = figure.querySelector(".sg-chart"), plot = document.createElement("div");
    plot.className = "plot";
    box.append(plot);
    const chart = { figure, box, plot, wait: box.querySelector("[data-chart-wait]"), off: new Set(), solo: null, inView: false };
    chart.lines = () => (chart.data ? chart.data.figure.data.filter(trace => trace.meta.role === "line") : []);
    charts.set(figure, chart);
    const button = figure.querySelector('[data-do="table"]');
    button?.addEventListener("click", () => toggleTable(chart, button));
    if (button) button.disabled = false; // a button that nobody hears yet is not to be pressed
    // a chart whose points do not come over the socket fetches itself anew while its range ends now
    const every = Number(figure.dataset.refetch);
    if (every && figure.dataset.liveRange) chart.timer = setInterval(() => refresh(chart), every * 1000);
    seen.observe(figure);
  }
}

export function start() {
  mount();
  document.addEventListener("sg:state", event => {
    for (const chart of charts.values()) {
      const row = event.detail.rows?.[chart.figure.dataset.sub];
      if (row?.points) extend(chart, row.points);
    }
    grow();
  });
  document.addEventListener("sg:connection", event => {
    // what came while the line was down is only on the server
    if (event.detail.state === "live" && lost) charts.forEach(refresh);
    lost = event.detail.state === "reconnecting";
  });
  document.addEventListener("sg:reload", () => charts.forEach(refresh));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) charts.forEach(chart => chart.isOld && chart.inView && load(chart));
  });
  document.addEventListener("sg:events", event => {
    const touched = new Set(event.detail.items.filter(item => item.type === "mark").map(item => item.sub));
    const hasAlert = event.detail.items.some(item => item.type === "alert"); // marks of alerts stand under every chart
    for (const chart of charts.values()) if (hasAlert || touched.has(chart.figure.dataset.sub)) refresh(chart);
  });
  const asked = rangeOf(location.href); // what the server made this page for
  addEventListener("popstate", event => {
    if (event.state?.zoom) showZoom(event.state.zoom);
    else if (rangeOf(location.href) === asked) showZoom(null);
    else location.reload(); // the page itself was made zoomed
  });
  document.addEventListener("click", event => {
    if (event.target.closest('[data-do="unzoom"]')) setZoom(null);
    if (event.target.closest('[data-do="copy-range"]')) copyLink();
  });
  document.addEventListener("sg:unzoom", () => setZoom(null));
  document.addEventListener("sg:resumed", () => charts.forEach(refresh));
  document.addEventListener("sg:theme", () => charts.forEach(draw));
  addEventListener("resize", () => charts.forEach(draw));
}
