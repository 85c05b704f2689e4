/* Charts as columns of bytes (dashboard/charts/encoding.py): no text to parse, and arrays that are used as they came. */
export const TYPE = "application/vnd.streamgauge.columns";
const MAGIC = 0x53474331; // "SGC1"

/* Whether a value is known: live points say null, columns NaN. */
export const isKnown = value => Number.isFinite(value);

/* The chart with x and y of each trace as Float64Array, NaN where nothing is known. */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0) !== MAGIC) throw new Error("the answer is no chart");
  const length = view.getUint32(4, true), chart = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  let at = 8 + length;
  const columns = chart.columns.map(size => {
    const column = new Float64Array(buffer, at, size); // little-endian, as every browser's machine is
    at += 8 * size;
    return column;
  });
  for (const trace of chart.figure.data) {
    trace.x = columns[trace.x.column];
    trace.y = columns[trace.y.column];
  }
  return chart;
}

/* A new array with values at its end: Plotly takes one that it has seen for unchanged. */
export function grown(array, ...values) {
  const out = new Float64Array(array.length + values.length);
  out.set(array);
  out.set(values.map(value => value ?? NaN), array.length);
  return out;
}
