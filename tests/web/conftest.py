"""The page, served, and a Chromium that shows it."""

from __future__ import annotations

import shutil
import threading

import pytest

from gradprox.errors import InputError
from gradprox.web.server import PageServer, find_runtime

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def runtime():
    try:
        return find_runtime()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(runtime):
    with PageServer(0, runtime) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def browser(server):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra [dev]")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not installed")
    with playwright.sync_playwright() as driver:
        # Browsers refuse their sandbox to root, as whom tests run in containers.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The page in a fresh context. The test fails if the page has an error, or asks another origin for anything."""
    context = browser.new_context(base_url=server.url)
    context.set_default_timeout(60_000)
    page, errors, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(error))
    context.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    yield page
    context.close()
    assert errors == []
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "blob:" + server.url))] == []
