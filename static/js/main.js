/* What every page runs: sparklines, the live socket, toasts, and charts where there are any. */
import * as live from "./live.js";
import * as spark from "./spark.js";
import * as toasts from "./toasts.js";
import * as zone from "./zone.js";

zone.start();
spark.mount();
toasts.start();
live.start();
document.addEventListener("htmx:afterSwap", event => {
  spark.mount(event.target.parentElement || document);
  zone.retime(event.target.parentElement || document);
});
if (document.querySelector("figure[data-chart]")) import("./charts.js").then(charts => charts.start());
document.addEventListener("sg:reload", () => {
  // more was missed than the server keeps: the lists fetch themselves anew
  for (const element of document.querySelectorAll("[data-hints], [data-on]")) live.hint(element);
});
