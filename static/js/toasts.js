/* Toasts of alert transitions: one per alert, changed through its life. Only critical ones interrupt a screen reader. */
import { icon } from "./format.js";
import { zoned } from "./zone.js";

const SHOWN_MS = 12000;
const open = new Map(); // alert id -> element

function show(item) {
  if (item.state === "acknowledged") return settle(item);
  if (!["firing", "unsilenced", "resolved"].includes(item.state) || item.silenced) return;
  const list = document.getElementById("sg-toasts");
  const old = open.get(item.id), toast = document.createElement("div");
  const firing = item.state !== "resolved";
  const tone = !firing ? "is-ok" : item.severity === "critical" ? "is-bad" : item.severity === "warning" ? "is-warn" : "is-info";
  toast.className = `sg-toast ${tone}`;
  toast.dataset.alert = item.id;
  toast.dataset.state = item.state;
  toast.setAttribute("role", firing && item.severity === "critical" ? "alert" : "status");
  const words = document.createElement("div"), head = document.createElement("b"), link = document.createElement("a");
  head.textContent = firing ? item.rule : `Resolved: ${item.rule}`;
  link.href = item.href;
  link.className = "link name";
  link.textContent = zoned(firing ? item.sentence : item.reason);
  words.append(head, document.createElement("br"), link);
  toast.append(icon(firing ? "i-bad" : "i-ok"), words, closer(() => drop(item.id, toast)));
  if (old) old.replaceWith(toast);
  else list.append(toast);
  open.set(item.id, toast);
  // what still burns and is critical stays until somebody closes it or it is over
  if (!(firing && item.severity === "critical")) setTimeout(() => drop(item.id, toast), SHOWN_MS);
}

/* Somebody looks after it: the notice says who, and need not stay. */
function settle(item) {
  const toast = open.get(item.id);
  if (!toast) return;
  toast.dataset.state = "acknowledged";
  toast.setAttribute("role", "status");
  toast.querySelector("b").textContent = `${item.rule}: ${item.reason}`;
  setTimeout(() => drop(item.id, toast), SHOWN_MS);
}

function drop(id, toast) {
  toast.remove();
  if (open.get(id) === toast) open.delete(id);
}

/* Something that this page itself has to say: it goes by itself. */
function say({ head, text }) {
  const toast = document.createElement("div"), words = document.createElement("div"), title = document.createElement("b"), rest = document.createElement("span");
  toast.className = "sg-toast is-info";
  toast.setAttribute("role", "status");
  title.textContent = head;
  rest.className = "t2 break";
  rest.textContent = text;
  words.append(title, document.createElement("br"), rest);
  toast.append(icon("i-info"), words, closer(() => toast.remove()));
  document.getElementById("sg-toasts").append(toast);
  setTimeout(() => toast.remove(), SHOWN_MS);
}

function closer(close) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-ghost btn-icon btn-sm";
  button.setAttribute("aria-label", "Close");
  button.append(icon("i-x"));
  button.addEventListener("click", close);
  return button;
}

export function start() {
  document.addEventListener("sg:say", event => say(event.detail));
  const title = document.title;
  document.addEventListener("sg:events", event => {
    for (const item of event.detail.items) if (item.type === "alert") show(item);
  });
  document.addEventListener("sg:state", event => {
    const alerts = event.detail.rows?.alerts;
    if (alerts) document.title = alerts.firing ? `(${alerts.firing}) ${title}` : title;
  });
}
