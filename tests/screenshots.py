"""Makes pictures of a running demo, in both themes at 390 and at 1920 px.

Without arguments: docs/screenshot.png, the page of the group that stands still, as soon as its alert fires; start
`make demo ARGS="--act freeze"` first. With a folder: every page. The sign-in link is made by `manage.py signinlink`
of the same data folder, or given.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PAGES = {
    "overview": "/",
    "cluster": "/clusters/demo/",
    "groups": "/clusters/demo/groups/",
    "group": "/clusters/demo/groups/payments/",
    "topics": "/clusters/demo/topics/",
    "topic": "/clusters/demo/topics/orders/",
    "brokers": "/clusters/demo/brokers/",
    "broker": "/clusters/demo/brokers/1/",
    "deadletters": "/clusters/demo/dead-letters/",
    "events": "/clusters/demo/events/",
    "configuration": "/clusters/demo/configuration/",
    "rights": "/clusters/demo/rights/",
    "kiosk": "/?kiosk=1",
    "instance": "/instance/",
    "alerts": "/alerts/",
    "alert-history": "/alerts/history/",
    "rules": "/alerts/rules/",
    "silences": "/alerts/silences/",
    "maintenance": "/alerts/maintenance/",
    "routes": "/alerts/routes/",
    "deliveries": "/alerts/deliveries/",
    "channels": "/settings/channels/",
}
LOOKS: dict[str, tuple[int, int, Literal["dark", "light"]]] = {
    "dark": (1440, 1000, "dark"),
    "light": (1440, 1000, "light"),
    "phone": (390, 844, "dark"),
    "wide": (1920, 1080, "dark"),
}

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
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the pictures of all pages go")
    parser.add_argument("--link", help="a sign-in link of the demo (default: a new one)")
    parser.add_argument("--only", default="", help="names of pages, with commas")
    options = parser.parse_args()
    link = options.link or new_link()
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        if options.folder is None:
            picture_for_readme(browser, link, base)
        else:
            only = set(options.only.split(",")) if options.only else set(PAGES)
            all_pages(browser, link, base, options.folder, only)
        browser.close()


def new_link() -> str:
    command = [sys.executable, "manage.py", "signinlink"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


def watched(context: BrowserContext) -> Page:
    """A page whose complaints are printed."""
    page = context.new_page()
    page.on("console", lambda message: print("console", message.type, message.text[:300]))
    page.on("pageerror", lambda error: print("error", error))
    return page


def picture_for_readme(browser: Browser, link: str, base: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    page = watched(context)
    sign_in(page, link)
    for _ in range(30):  # a demo that has just begun does not know its groups yet
        answer = page.goto(base + PAGES["group"])
        if answer is not None and answer.ok:
            break
        page.wait_for_timeout(2000)
    page.locator("#sg-toasts [data-state=firing]").wait_for(timeout=300_000)
    page.wait_for_timeout(1000)
    target = Path("docs/screenshot.png")
    target.parent.mkdir(exist_ok=True)
    page.screenshot(path=target)
    print(f"made {target}")


def all_pages(browser: Browser, link: str, base: str, folder: Path, only: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first = browser.new_context()
    sign_in(first.new_page(), link)  # a link is good for once
    for look, (width, height, theme) in LOOKS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, storage_state=first.storage_state()
        )
        page = watched(context)
        for name in only & set(PAGES):
            page.goto(base + PAGES[name])
            page.wait_for_timeout(4000)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                print(f"{name} {look}: {wide} px too wide")
            page.screenshot(path=folder / f"{name}-{look}.png", full_page=look != "phone")
        context.close()


if __name__ == "__main__":
    main()
