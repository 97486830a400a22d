"""Types into a chat page as a person does: ``python browse.py CHROMIUM URL FOLDER TEXT=EXPECTED…``.

Prints the page's text as JSON once each expected text is seen, and leaves a picture after each. Nothing but the page's
own address is asked: its fonts would come from elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main(chromium: str, url: str, folder: str, turns: list[str]) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.route("**/*", lambda route: _own(route, url))
        page.goto(url)
        page.locator("#chat-input").wait_for(timeout=60_000)
        page.wait_for_timeout(4_000)  # its socket
        for number, turn in enumerate(turns):
            text, expected = turn.split("=", 1)
            _say(page, text, expected)
            page.screenshot(path=str(Path(folder) / f"turn-{number}.png"))
        print(json.dumps(page.inner_text("body")))
        browser.close()


def _own(route: Route, url: str) -> None:
    if route.request.url.startswith((url, "data:", "blob:")):
        route.continue_()
    else:
        route.abort()


def _say(page: Page, text: str, expected: str) -> None:
    page.locator("#chat-input").click()
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.get_by_text(expected).first.wait_for(timeout=30_000)
    page.wait_for_timeout(1_000)  # the rest of the stream


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
