/* The live socket of a page: what it shows, it subscribes to; each frame is acknowledged before the next comes.
   State replaces state; events are told in order, from the last one seen. */
import { duration, formats, icon, look } from "./format.js";
import { push } from "./spark.js";
import { when, zoned } from "./zone.js";

const body = document.body;
const LATE_INTERVALS = 3;
const SILENT_MS = 25000; // the server says something every 10 s; longer silence is a dead line that nobody closed
const HINT_MS = 5100;
const RELOAD_MS = 15000;
const MOST_SUBS = 200;
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];
const page = {
  socket: null,
  seq: body.dataset.eventsSeq || null,
  subs: [],
  tries: 0,
  timer: 0,
  heardAt: 0,
  state: "connecting",
  paused: false,
  held: null, // the newest frame that came while paused
  clusters: {}, // slug -> {cycle, taken_at, interval}
  offset: Number(body.dataset.now) ? Number(body.dataset.now) - Date.now() / 1000 : 0,
};

/* The server's time by the page's own clock. */
export const now = () => Date.now() / 1000 + page.offset;
export const isPaused = () => page.paused;
const say = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

// --- subscriptions ----------------------------------------------------------------------------------------

function wanted() {
  const ids = new Set();
  for (const element of document.querySelectorAll("[data-sub], [data-rows-sub], [data-hints]")) {
    for (const id of [element.dataset.sub, element.dataset.rowsSub, ...hintsOf(element)]) if (id) ids.add(id);
  }
  return [...ids].slice(0, MOST_SUBS);
}
const hintsOf = element => (element.dataset.hints || "").split(" ").filter(Boolean);

/* A swap of a fragment announces each of its elements: look once, a moment later. */
let scanning = 0;
export function rescan() {
  clearTimeout(scanning);
  scanning = setTimeout(() => {
    const subs = wanted();
    if (subs.join("\n") === page.subs.join("\n")) return;
    page.subs = subs;
    send({ t: "subs", subs });
  }, 150);
}

// --- the socket -------------------------------------------------------------------------------------------

function send(message) {
  if (page.socket?.readyState === WebSocket.OPEN) page.socket.send(JSON.stringify(message));
}

export function connect() {
  clearTimeout(page.timer);
  const old = page.socket;
  page.socket = null; // so that its end is not taken for a loss
  old?.close();
  if (document.hidden && page.tries > 3) return; // a hidden tab does not knock for ever
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${body.dataset.socket}`);
  page.socket = socket;
  page.heardAt = Date.now();
  let opened = false;
  socket.onopen = () => {
    opened = true;
    page.why = "";
    page.subs = wanted();
    send({ t: "hello", subs: page.subs, seq: page.seq });
  };
  socket.onmessage = event => {
    if (page.socket === socket) receive(JSON.parse(event.data));
  };
  socket.onclose = event => {
    if (page.socket !== socket) return;
    page.socket = null;
    if (event.code === 4401) { location.reload(); return; } // signed out: the server shows the way back in
    if (event.code === 4003) console.warn(`the live socket was refused: ${event.reason}`);
    if (!opened) askWhy();
    become("reconnecting");
    const base = RETRY_MS[Math.min(page.tries++, RETRY_MS.length - 1)];
    page.retryAt = Date.now() + base * (0.7 + 0.6 * Math.random());
    page.timer = setTimeout(connect, page.retryAt - Date.now());
  };
}

/* A page cannot read why a handshake was refused: the same address, asked plainly, says it. */
async function askWhy() {
  try {
    const query = new URLSearchParams({ origin: location.origin });
    const answer = await fetch(`${body.dataset.socket}?${query}`, { headers: { Accept: "application/json" } });
    const said = answer.ok && !answer.redirected ? await answer.json() : {};
    page.why = said.refused ? `The live line is refused: ${said.refused}. ${said.advice}` : "";
    tick();
  } catch { page.why = ""; } // the server is away: nothing is refused
}

function receive(frame) {
  if (frame.now) page.offset = frame.now - Date.now() / 1000;
  page.tries = 0;
  page.heardAt = Date.now();
  if (page.state !== "live") become("live");
  if (frame.t === "state") {
    if (page.paused) page.held = merge(page.held, frame);
    else apply(frame);
  } else if (frame.t === "events") {
    page.seq = frame.seq ?? page.seq;
    if (frame.reload) say("sg:reload", {});
    if (frame.items.length || frame.reload) say("sg:events", frame);
  }
  if (frame.n !== undefined) send({ t: "ack", n: frame.n });
}

const merge = (old, frame) =>
  old
    ? {
        ...frame,
        rows: { ...old.rows, ...frame.rows },
        clusters: { ...old.clusters, ...frame.clusters },
        hint: [...new Set([...old.hint, ...frame.hint])],
      }
    : frame;

// --- putting values in ------------------------------------------------------------------------------------

function apply(frame) {
  Object.assign(page.clusters, frame.clusters || {});
  const rows = frame.rows || {};
  for (const element of document.querySelectorAll("[data-there]")) {
    // the page's own subject went, or came back: another page altogether
    const row = rows[element.dataset.sub];
    if (row !== undefined && (row !== null) !== (element.dataset.there === "1")) reload();
  }
  for (const element of document.querySelectorAll("[data-sub]")) {
    const row = rows[element.dataset.sub];
    if (!row) continue;
    if (element.dataset.f) put(element, row);
    if (element.dataset.fBad) putBad(element, row);
    for (const part of element.querySelectorAll("[data-f-bad]")) if (part.closest("[data-sub]") === element) putBad(part, row);
    for (const part of element.querySelectorAll("[data-f], [data-f-push]")) {
      if (part.closest("[data-sub]") === element) put(part, row);
    }
    tint(element, row);
  }
  for (const table of document.querySelectorAll("[data-rows-sub]")) {
    const row = rows[table.dataset.rowsSub];
    if (row) putRows(table, row[table.dataset.rows] || []);
  }
  if (frame.hint?.length) {
    for (const element of document.querySelectorAll("[data-hints]")) {
      if (hintsOf(element).some(id => frame.hint.includes(id))) hint(element);
    }
  }
  say("sg:state", frame);
  tick();
}

/* Tell an element to fetch itself anew, at most every 5 s; the last of several hints is not lost, only later. */
const hints = new WeakMap(); // element -> {at, timer}
export function hint(element) {
  const told = hints.get(element) || { at: -HINT_MS, timer: 0 };
  hints.set(element, told);
  clearTimeout(told.timer);
  told.timer = setTimeout(() => {
    if (!element.isConnected) return;
    told.at = performance.now();
    if ("reload" in element.dataset) reload();
    else element.dispatchEvent(new CustomEvent("sg:hint"));
  }, Math.max(0, told.at + Number(element.dataset.every || HINT_MS) - performance.now()));
}

/* Fetch the whole page anew; never in a circle, should page and socket disagree. */
function reload() {
  const key = `sg-reloaded ${location.pathname}`;
  if (Date.now() - Number(sessionStorage.getItem(key) || 0) < RELOAD_MS) return;
  sessionStorage.setItem(key, Date.now());
  location.reload();
}

/* Parts that say what happens: `data-on="events"` after any alert or mark, `data-on="act"` after an act of the demo. */
document.addEventListener("sg:events", event => {
  const isAct = event.detail.reload || event.detail.items.some(item => item.type === "mark" && item.kind === "act");
  for (const element of document.querySelectorAll("[data-on]")) if (element.dataset.on === "events" || isAct) hint(element);
});

/* Heads and table rows carry the colour of their verdict. */
function tint(element, row) {
  const state = row.verdict ?? row.reach;
  if (!state || !element.matches(".sg-head, tr") || !TONES.some(tone => element.classList.contains(tone))) return;
  element.classList.remove(...TONES);
  element.classList.add(look(state).tone);
}
const TONES = ["is-ok", "is-warn", "is-bad", "is-info", "is-unknown", "is-quiet"];

function putRows(list, parts) {
  const byKey = new Map([...list.querySelectorAll("[data-key]")].map(item => [item.dataset.key, item]));
  const most = Math.max(1, ...parts.map(part => part.lag ?? 0));
  const shown = [];
  for (const part of parts) {
    const item = byKey.get(part.key);
    if (!item) continue;
    shown.push(item);
    for (const cell of item.querySelectorAll("[data-f]")) put(cell, part);
    tint(item, part);
    const bar = item.querySelector(".sg-meter rect");
    if (bar) bar.setAttribute("width", part.lag === null || part.lag === undefined ? 0 : ((100 * part.lag) / most).toFixed(2));
  }
  if ("sorted" in list.dataset) sortRows(shown);
}

/* Rows in the order of the frame, unless a pointer is over them or one of them holds the focus. */
function sortRows(items) {
  const parent = items[0]?.parentElement;
  if (!parent || parent.matches(":hover, :focus-within") || items.some(item => item.parentElement !== parent)) return;
  const isSorted = items.every((item, i) => !i || items[i - 1].compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING);
  if (!isSorted) parent.append(...items);
}

function putBad(element, row) {
  if (element.dataset.fBad in row) element.classList.toggle("is-bad", Boolean(row[element.dataset.fBad]));
}

function put(element, row) {
  if (element.dataset.fPush) {
    if (element.dataset.fPush in row) push(element, row[element.dataset.fPush], now());
    return;
  }
  const field = element.dataset.f;
  if (!(field in row)) return;
  const value = row[field];
  switch (element.dataset.fmt) {
    case "verdict": return putVerdict(element, value);
    case "icon": return putIcon(element, look(value));
    case "noun": {
      const [one, many] = element.dataset.noun.split(",");
      element.textContent = value === 1 ? one : many;
      return;
    }
    case "lines": return putLines(element, value || []);
    case "age":
      if (value) element.dataset.at = value;
      return;
  }
  if (row.lag_state === "no_commit" && (field === "committed" || field === "consumed")) {
    element.textContent = "none"; // known: nothing was ever committed
    return;
  }
  if (value === null || value === undefined) {
    element.classList.add("sg-na", "sg-hatch");
    element.textContent = row.lag_state === "no_commit" && field === "lag" ? "no commit" : element.dataset.na || "unknown";
    return;
  }
  element.classList.remove("sg-na", "sg-hatch");
  if (element.title && element.dataset.na) element.removeAttribute("title");
  const shown = (formats[element.dataset.fmt] || formats.text)(value);
  if (element.textContent !== shown) element.textContent = shown;
  if ("hideZero" in element.dataset) element.hidden = !value;
  if ("show" in element.dataset && row.brokers) element.hidden = false; // before it was reached nobody knows how many
  const wait = element.closest(".sg-wait");
  if (wait && field === "waiting") wait.toggleAttribute("data-empty", !value);
}

function putIcon(element, seen) {
  element.querySelector("use")?.setAttribute("href", `#${seen.icon}`);
  if (!TONES.some(tone => element.classList.contains(tone))) return;
  element.classList.remove(...TONES);
  element.classList.add(seen.tone);
}

function putVerdict(element, value) {
  if (element.dataset.verdict === value) return;
  const seen = look(value);
  element.dataset.verdict = value;
  for (const name of [...element.classList]) if (name.startsWith("is-")) element.classList.remove(name);
  element.classList.add(seen.tone);
  const label = document.createElement("span");
  label.textContent = seen.word;
  element.replaceChildren(icon(seen.icon), label);
}

function putLines(list, lines) {
  if (!lines.length) return;
  list.replaceChildren(...lines.map(line => {
    const item = document.createElement("li"), text = document.createElement("span");
    text.className = "name";
    text.textContent = zoned(line);
    item.append(text);
    return item;
  }));
}

// --- the state of the connection, and ages ----------------------------------------------------------------

function become(state) {
  page.state = state;
  say("sg:connection", { state });
  tick();
}

/* What the age of this page's data is told by: its own cluster, or the freshest where it shows several. That another
   one is silent is said in that one's row, and makes nothing here old. */
function freshest() {
  const own = page.clusters[body.dataset.cluster];
  if (body.dataset.cluster) return own?.taken_at ? own : null;
  const shown = Object.values(page.clusters).filter(one => one.taken_at);
  return shown.length ? shown.reduce((best, one) => (late(one) < late(best) ? one : best)) : null;
}
const late = one => (now() - one.taken_at) / (one.interval || 5);

function tick() {
  const button = document.querySelector("[data-live]"), banner = document.getElementById("sg-banner");
  if (page.socket && Date.now() - page.heardAt > SILENT_MS) {
    page.heardAt = Date.now();
    become("reconnecting");
    connect();
    return;
  }
  const one = freshest(), age = one ? now() - one.taken_at : null;
  const stale = one !== null && late(one) > LATE_INTERVALS;
  document.documentElement.classList.toggle("sg-stale", stale || page.state === "reconnecting");
  if (button) {
    const zoomed = body.classList.contains("sg-zoomed");
    const word = page.paused ? "paused" : page.state !== "live" ? page.state : stale ? "old data" : zoomed ? "zoomed" : "live";
    button.classList.toggle("is-warn", page.state !== "live" || stale);
    button.classList.toggle("is-paused", page.paused);
    button.setAttribute("aria-pressed", String(page.paused));
    const title = page.paused ? "Go on (p)" : zoomed ? "Back to the range before zooming" : "Hold this page still (p)";
    if (button.title !== title) button.title = title;
    const strong = document.createElement("b");
    strong.textContent = word;
    button.replaceChildren(strong, age === null ? "" : ` · ${duration(age)} ago`);
  }
  if (banner) {
    let message = "";
    if (page.state === "reconnecting") {
      const seconds = Math.max(0, Math.ceil(((page.retryAt || 0) - Date.now()) / 1000));
      message = page.why || `Connection lost, trying again in ${seconds} s. Collecting and alerting go on; this page shows what it last heard.`;
    } else if (stale && !page.paused) {
      message = `Data is ${duration(age)} old: nothing was sampled since ${when(one.taken_at * 1000)}. Nothing here is newer.`;
    }
    banner.hidden = !message;
    const text = banner.querySelector(".msg");
    if (text.textContent !== message) text.textContent = message;
  }
  for (const element of document.querySelectorAll('[data-fmt="age"][data-at]')) {
    const shown = duration(now() - Number(element.dataset.at));
    if (element.textContent !== shown) element.textContent = shown;
  }
}

/* Hold the page still: what comes meanwhile is kept and shown when it goes on. Alerts are told all the same. */
function pause(isPaused) {
  page.paused = isPaused;
  if (!isPaused && page.held) { const frame = page.held; page.held = null; apply(frame); }
  if (!isPaused) {
    say("sg:resumed", {});
    for (const element of document.querySelectorAll("[data-hints], [data-on]")) hint(element);
  }
  tick();
}

export function start() {
  connect();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !page.socket) connect();
  });
  document.addEventListener("htmx:afterSwap", rescan);
  keepWhatIsOpen();
  document.addEventListener("click", event => {
    if (event.target.closest('[data-do="reconnect"]')) { page.tries = 0; connect(); }
    if (event.target.closest("[data-live]") && body.classList.contains("sg-zoomed")) say("sg:unzoom", {});
    else if (event.target.closest("[data-live]")) pause(!page.paused);
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
    pause(!page.paused);
  });
  document.addEventListener("htmx:beforeRequest", event => {
    // a page that is held still fetches nothing by itself; what a person asks for comes
    const { elt, triggeringEvent } = event.detail.requestConfig;
    if (page.paused && !elt.matches("form, a, button") && !triggeringEvent?.isTrusted) event.preventDefault();
  });
}

/* Answers that say what stands there already are not put in (a button does not go away under the pointer), and what
   a person has opened or closed stays so. */
const answers = new Map(); // path of a fragment -> its newest answer, without what differs in each
function keepWhatIsOpen() {
  let open = new Map();
  document.addEventListener("htmx:beforeSwap", event => {
    const { xhr, pathInfo, requestConfig } = event.detail;
    if (!xhr || xhr.status !== 200 || requestConfig?.verb !== "get") return;
    const path = pathInfo?.finalRequestPath || requestConfig.path;
    const said = xhr.responseText.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");
    if (answers.get(path) === said && !requestConfig.elt.matches("form")) event.detail.shouldSwap = false;
    answers.set(path, said);
    open = new Map([...document.querySelectorAll("main details[id]")].map(one => [one.id, one.open]));
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, isOpen] of open) {
      const one = document.getElementById(id);
      if (one) one.open = isOpen;
    }
  });
}
