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
  drawCharts(document);
});
let charts = null;
async function drawCharts(root) {
  if (!root.querySelector("figure[data-chart]")) return;
  if (!charts) {
    charts = await import("./charts.js");
    charts.start();
  } else charts.mount(root);
}
drawCharts(document);
document.addEventListener("sg:reload", () => {
  // more was missed than the server keeps: the lists fetch themselves anew
  for (const element of document.querySelectorAll("[data-hints], [data-on]")) live.hint(element);
});
