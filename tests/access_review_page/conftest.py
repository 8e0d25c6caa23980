"""Opens the page in Chromium, and records the browser's errors and requests.

Reads the environment:
- AMI_SHARE_ACCESS_REVIEW_HTML: the page's file.
- AMI_SHARE_BROWSER_HOME: the folder of the browser, which is fetched if it is missing.
- AMI_SHARE_PICTURES: the folder for pictures of the page, and for the report.
"""

import json
import os
from pathlib import Path

import pytest
from debian_packages import CannotInstall
from playwright.sync_api import Browser, Page, sync_playwright

from chromium import find_or_install

REPORT = {"browser": None, "skipped": None, "pictures": []}

# The machine may be busy with other tests.
PATIENCE_MILLISECONDS = 120_000

WIDE = {"width": 1360, "height": 900}
NARROW = {"width": 400, "height": 800}


def folder(name: str) -> Path:
    path = Path(os.environ[name]).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def html() -> Path:
    return Path(os.environ["AMI_SHARE_ACCESS_REVIEW_HTML"]).absolute()


@pytest.fixture(scope="session")
def browser():
    try:
        chromium = find_or_install(folder("AMI_SHARE_BROWSER_HOME"))
    except CannotInstall as reason:
        REPORT["skipped"] = str(reason)
        pytest.skip(f"no browser: {reason}")
    os.environ.update(chromium.environment)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.executable, timeout=PATIENCE_MILLISECONDS)
        REPORT["browser"] = f"Chromium {browser.version}"
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, html: Path):
    """Opens the page, any number of times. The browser must report no error and make no other request."""
    complaints: list[str] = []
    requests: list[str] = []
    contexts = []

    def open_one(viewport=WIDE, scheme="light") -> Page:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(html.as_uri())
        return page

    yield open_one
    opened_pages = len(contexts)
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests == [html.as_uri()] * opened_pages


@pytest.fixture
def page(open_page) -> Page:
    return open_page()


@pytest.fixture
def take_picture(html: Path):
    """Saves a picture of the top of the page; a very long page is cut."""

    def take(page: Page, name: str) -> Path:
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": page.viewport_size["width"], "height": min(height, 5000)})
        file = folder("AMI_SHARE_PICTURES") / f"{html.stem}-{name}.png"
        page.screenshot(path=file)
        REPORT["pictures"].append(str(file))
        return file

    return take


def pytest_sessionfinish():
    page = Path(os.environ["AMI_SHARE_ACCESS_REVIEW_HTML"])
    (folder("AMI_SHARE_PICTURES") / f"{page.stem}.json").write_text(json.dumps(REPORT))


def pytest_terminal_summary(terminalreporter):
    if REPORT["browser"]:
        terminalreporter.write_line(f"checked with {REPORT['browser']}")
