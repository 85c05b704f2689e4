"""Makes pictures of a running demo: `python -m tests.screenshots LINK [FOLDER]`, in both themes and at 390 px.

LINK is the sign-in link that the demo printed. Without a folder only docs/screenshot.png is made.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

PAGES = {
    "overview": "/",
    "cluster": "/clusters/demo/",
    "groups": "/clusters/demo/groups/",
    "group": "/clusters/demo/groups/payments/",
    "topics": "/clusters/demo/topics/",
    "topic": "/clusters/demo/topics/orders/",
    "alerts": "/alerts/",
    "channels": "/settings/channels/",
}
LOOKS = {"dark": (1440, 1000, "dark"), "light": (1440, 1000, "light"), "phone": (390, 844, "dark")}
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def sign_in(page: Page, link: str) -> None:
    page.goto(link)
    page.locator("main button, form button").first.click()
    page.wait_for_load_state("load")


def main() -> None:
    link, folder = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    only = set(sys.argv[3].split(",")) if len(sys.argv) > 3 else set(PAGES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        for look, (width, height, theme) in LOOKS.items() if folder else [("dark", LOOKS["dark"])]:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]  # a plain str
            page = context.new_page()
            page.on("console", lambda message: print("console", message.type, message.text[:300]))
            page.on("pageerror", lambda error: print("error", error))
            sign_in(page, link)
            for name, path in PAGES.items() if folder else [("group", PAGES["group"])]:
                if name not in only:
                    continue
                page.goto(base + path)
                page.wait_for_timeout(4000)
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if wide > 0:
                    print(f"{name} {look}: {wide} px too wide")
                target = folder / f"{name}-{look}.png" if folder else Path("docs/screenshot.png")
                target.parent.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=target, full_page=look != "phone" and folder is not None)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
