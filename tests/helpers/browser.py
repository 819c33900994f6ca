"""Chromium, and pages of a report opened in it as a reader opens them: from their files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.helpers.debian import needed, program

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}
SERIOUS = ("serious", "critical")


def missing() -> list[str]:
    return [] if any(map(program, PROGRAMS)) else ["Chromium"]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    needed(missing, ["chromium"], "browser")
    path = next(filter(None, map(program, PROGRAMS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, path: Path, fragment: str = "", **options) -> Iterator[Page]:
    """A page, in a context of its own. Fails if anything done with it complained or left the files.

    options: of the context. It is offline unless they say otherwise.
    """
    said, left = [], []

    def check(request) -> None:
        url = urlsplit(request.url)
        page = url.scheme == "file" and Path(unquote(url.path)).parent == path.parent
        if not (url.scheme in ("data", "blob") or (page and request.is_navigation_request())):
            left.append(request.url)

    context = browser.new_context(**{"offline": True, "viewport": WIDE} | options)
    try:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: said.append(m.text) if m.type in ("warning", "error") else 0)
        page.on("pageerror", lambda error: said.append(str(error)))
        context.on("request", check)
        page.goto(path.as_uri() + (f"#{fragment}" if fragment else ""))
        yield page
        assert not said, f"{path.name} complained: {said}"
        assert not left, f"{path.name} asked for {left}"
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core calls serious or worse about a page as it is shown."""
    # Without details of all that is right, which take most of the time.
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


def focused_by_tab(page: Page, selector: str, most: int = 200) -> None:
    """Press Tab until the focus is on what `selector` describes."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{most} tabs do not reach {selector}")
