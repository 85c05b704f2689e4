/* Times in the viewer's zone, or in UTC when asked for. The server writes them so as soon as the cookie tells it the
   zone; on the very first page, which came before the cookie, this script does. */
const YEAR = 365 * 24 * 3600;
const HOUR = 3600000;
const cookie = name => document.cookie.split("; ").find(one => one.startsWith(`${name}=`))?.slice(name.length + 1) || "";
const put = (name, value, age) => { document.cookie = `${name}=${value}; path=/; max-age=${age}; samesite=lax`; };

const browsers = (() => {
  try { return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC"; } catch { return "UTC"; }
})();
const served = document.body.dataset.zone || "UTC";
const wantsUtc = cookie("sg_utc") === "1";
const isNew = !wantsUtc && cookie("sg_zone") !== browsers;
if (isNew) put("sg_zone", browsers, YEAR); // letters, "/", "_", "+" and "-": fit for a cookie as they are
/* What this page's times are in: the server knows no zone that it could not find, then its UTC stands. */
export const zone = isNew ? browsers : served;
export const zoneLabel = zone.replaceAll("_", " ");

const parts = new Intl.DateTimeFormat("en-GB", {
  timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const read = ms => Object.fromEntries(parts.formatToParts(ms).map(part => [part.type, part.value]));
const offsets = new Map(); // quarter of an hour -> offset in ms; no zone changes within one

/* How far the zone's clock is ahead of UTC at a moment, in ms. */
function offset(ms) {
  if (zone === "UTC") return 0;
  const key = Math.floor(ms / (HOUR / 4));
  if (!offsets.has(key)) {
    const at = key * (HOUR / 4), p = read(at);
    if (offsets.size > 5000) offsets.clear();
    offsets.set(key, Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - at);
  }
  return offsets.get(key);
}
const shifted = ms => ms + offset(ms);
const unshifted = ms => ms - offset(ms - offset(ms));
/* Plotly takes numbers on a time axis for the browser's own zone, text for what it says: so it only ever gets text,
   the zone's clock, and what it tells is read back as that. */
export const axisText = ms => new Date(shifted(ms)).toISOString().slice(0, 23).replace("T", " ");
export const axisMoment = value => unshifted(typeof value === "number" ? value : Date.parse(`${value.replace(" ", "T")}Z`));

export const clock = ms => new Date(shifted(ms)).toISOString().slice(11, 19);
export const dateTime = ms => new Date(shifted(ms)).toISOString().slice(0, 19).replace("T", " ");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/* As the server's `when`: the time of day, with the date when it is not today there. */
export function when(ms, style = "time") {
  const full = dateTime(ms);
  if (full.slice(0, 10) === dateTime(Date.now()).slice(0, 10)) return style === "short" ? full.slice(11, 16) : full.slice(11);
  return `${MONTHS[Number(full.slice(5, 7)) - 1]} ${full.slice(8, 10)} ${full.slice(11, 16)}`;
}

/* Times within a sentence, which is written once for all viewers: "since 14:02:10 UTC". */
export function zoned(text) {
  if (zone === "UTC" || !text.includes(" UTC")) return text;
  return text.replace(/(?:(\d{4}-\d\d-\d\d) )?((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d) UTC/g, (all, day, time) => {
    let at = Date.parse(`${day || new Date().toISOString().slice(0, 10)}T${time}Z`);
    if (Number.isNaN(at)) return all;
    if (!day && at > Date.now() + 300000) at -= 24 * HOUR; // said before midnight, read after it
    return when(at);
  });
}

/* The first page of a browser, and fragments that were made without the cookie. */
export function retime(root = document) {
  if (zone === served) return;
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = Date.parse(element.dateTime);
    if (!Number.isNaN(at)) element.textContent = when(at, element.dataset.style);
  }
  for (const element of root.querySelectorAll("[data-zone-label]")) element.textContent = zoneLabel;
}

export function start() {
  retime();
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-do=utc]");
    if (!button) return;
    put("sg_utc", "1", wantsUtc ? 0 : YEAR);
    location.reload();
  });
}
