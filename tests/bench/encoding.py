"""What a chart's way to the page costs: columns of bytes against JSON, sizes, and decoding by the page's own script."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from pathlib import Path

from .lines import Line, line

SCRIPT = Path(__file__).parents[2] / "static" / "js" / "columns.js"
TIMES = 200
_MEASURED = """
async ([script, plain, columns, times]) => {
  const { decode } = await import(`data:text/javascript;base64,${script}`);
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
  const parse = buffer => JSON.parse(new TextDecoder().decode(buffer)); // as response.json() does
  const took = (turn, buffer) => {
    for (let i = 0; i < 20; i++) turn(buffer);
    const since = performance.now();
    for (let i = 0; i < times; i++) turn(buffer);
    return (performance.now() - since) / times;
  };
  const one = bytes(plain), other = bytes(columns);
  const points = chart => chart.figure.data.map(trace => trace.x.length).join();
  if (points(parse(one)) !== points(decode(other))) throw new Error("not the same chart");
  return [took(parse, one), took(decode, other)];
}
"""


def lines(plain: bytes, columns: bytes) -> list[Line]:
    """Of one chart in both encodings."""
    out = [line("a chart of 2 000 points with its band, bytes on the wire: columns", len(columns), "bytes",
                baseline=len(plain))]  # fmt: skip
    name = "the same, decoded in Chromium"
    chromium = os.environ.get("STREAMGAUGE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return [*out, line(name, None, "ms (Chromium is not installed)")]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            parts = [b64encode(part).decode() for part in (SCRIPT.read_bytes(), plain, columns)]
            as_json, as_columns = browser.new_page().evaluate(_MEASURED, [*parts, TIMES])
        finally:
            browser.close()
    return [*out, line(name, as_columns, "ms", baseline=as_json)]
