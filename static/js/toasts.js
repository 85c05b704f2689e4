/* Toasts of alert transitions: one per alert, changed through its life. Only critical ones interrupt a screen reader. */
import { icon } from "./format.js";

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
  link.textContent = firing ? item.sentence : item.reason;
  words.append(head, document.createElement("br"), link);
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn btn-ghost btn-icon btn-sm";
  close.setAttribute("aria-label", "Close");
  close.append(icon("i-x"));
  close.addEventListener("click", () => drop(item.id, toast));
  toast.append(icon(firing ? "i-bad" : "i-ok"), words, close);
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

export function start() {
  const title = document.title;
  document.addEventListener("sg:events", event => {
    for (const item of event.detail.items) if (item.type === "alert") show(item);
  });
  document.addEventListener("sg:state", event => {
    const alerts = event.detail.rows?.alerts;
    if (alerts) document.title = alerts.firing ? `(${alerts.firing}) ${title}` : title;
  });
}
