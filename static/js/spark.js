/* Sparklines on canvas: <canvas class="sp" data-points="1 2 - 4">. "-" is a gap and is drawn as one.
   The colour is the element's CSS colour. Drawn only while in view, all in one animation frame. */
const parse = text => (text || "").trim().split(/\s+/).filter(Boolean).map(v => (v === "-" ? null : Number(v)));
const POINTS = 60; // of a line that the server sent none for
const waiting = new Set();
const states = new WeakMap();

const seen = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const state = states.get(entry.target);
    if (!state) continue;
    state.inView = entry.isIntersecting;
    if (state.inView && state.stale) queue(entry.target);
  }
});

function queue(canvas) {
  if (!waiting.size) requestAnimationFrame(() => { waiting.forEach(draw); waiting.clear(); });
  waiting.add(canvas);
}

function draw(canvas) {
  const state = states.get(canvas), width = canvas.clientWidth, height = canvas.clientHeight;
  if (!state || !width || !height) return;
  state.stale = false;
  const scale = devicePixelRatio || 1, g = canvas.getContext("2d");
  canvas.width = width * scale;
  canvas.height = height * scale;
  const points = state.points, known = points.filter(v => v !== null);
  if (!known.length) return;
  const low = Math.min(0, ...known), high = Math.max(...known) === low ? low + 1 : Math.max(...known);
  const pad = 2.5;
  const x = i => pad + (i * (width - 2 * pad)) / Math.max(1, points.length - 1);
  const y = v => height - pad - ((v - low) / (high - low)) * (height - 2 * pad);
  g.scale(scale, scale);
  g.strokeStyle = g.fillStyle = getComputedStyle(canvas).color;
  g.lineWidth = 1.25;
  g.lineJoin = "round";
  for (const run of runs(points)) {
    g.globalAlpha = 1;
    g.beginPath();
    run.forEach(([i, v], k) => (k ? g.lineTo(x(i), y(v)) : g.moveTo(x(i), y(v))));
    g.stroke();
    g.lineTo(x(run.at(-1)[0]), height);
    g.lineTo(x(run[0][0]), height);
    g.globalAlpha = 0.1;
    g.fill();
  }
  const last = points.length - 1;
  if (points[last] !== null) {
    g.globalAlpha = 1;
    g.beginPath();
    g.arc(x(last), y(points[last]), 1.75, 0, 7);
    g.fill();
  }
}

function runs(points) {
  const out = [];
  let run = [];
  points.forEach((v, i) => {
    if (v !== null) run.push([i, v]);
    else if (run.length) { out.push(run); run = []; }
  });
  if (run.length) out.push(run);
  return out;
}

export function mount(root = document) {
  for (const canvas of root.querySelectorAll("canvas.sp")) {
    if (!states.has(canvas)) {
      const points = parse(canvas.dataset.points);
      const most = points.length || POINTS, span = Number(canvas.dataset.span);
      states.set(canvas, { points, most, span, stale: true, inView: false, at: 0 });
    }
    seen.observe(canvas);
  }
}

/* The newest point; one per step, so that the line keeps its span. */
export function push(canvas, value, at) {
  const state = states.get(canvas);
  if (!state) return;
  grow(at);
  const step = state.span / state.most;
  if (at - state.at < step && state.points.length) state.points[state.points.length - 1] = value;
  else {
    state.at = at;
    state.points.push(value);
    if (state.points.length > state.most) state.points.shift();
  }
  state.stale = true;
  if (state.inView) queue(canvas);
}

/* The lines look further back as the history grows: each keeps its number of points, of which each stands for more. */
function grow(at) {
  const { historySince, sparkSeconds, sparkSteps } = document.body.dataset;
  const since = Number(historySince) || (document.body.dataset.historySince = at);
  const steps = JSON.parse(sparkSteps), [span, label] = steps.find(([seconds]) => at - since <= seconds) || steps.at(-1);
  if (span <= Number(sparkSeconds)) return;
  document.body.dataset.sparkSeconds = span;
  for (const element of document.querySelectorAll("[data-spark-span]")) element.textContent = label;
  for (const canvas of document.querySelectorAll("canvas.sp")) {
    const state = states.get(canvas);
    if (!state || state.span >= span) continue;
    const each = Math.round(span / state.span), kept = [];
    for (let i = state.points.length - 1; i >= 0; i -= each) kept.unshift(state.points[i]);
    state.points = [...Array(Math.max(0, state.most - kept.length)).fill(null), ...kept];
    state.span = span;
  }
  redraw();
}

export function redraw() {
  for (const canvas of document.querySelectorAll("canvas.sp")) {
    const state = states.get(canvas);
    if (!state) continue;
    state.stale = true;
    if (state.inView) queue(canvas);
  }
}
addEventListener("resize", redraw);
document.addEventListener("sg:theme", redraw);
