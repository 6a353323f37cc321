"""What the tests with real clients share: the services as processes, and browsers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from tests.e2e.conftest import asr, asr_client, tts
from tests.support.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.clients.browser import Watched

__all__ = ["asr", "asr_client", "tts"]

OpenPage = Callable[..., "Watched"]
"""Opens a URL in a browser; takes ``browser`` and the options of ``watched_page``."""

StartBrowser = Callable[..., AbstractContextManager["Browser"]]
"""Starts one more browser; takes ``microphone``, the WAV file that it hears."""


@pytest.fixture(scope="module")
def playwright() -> Iterator["Playwright"]:
    """What drives the browser. While it runs, no test of the same module can run a loop of asyncio of its own."""
    reason = "needs Chromium and Playwright: ./scripts/test-clients.sh"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    from tests.clients.browser import CHROMIUM

    if CHROMIUM is None:
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def start_browser(playwright: "Playwright") -> StartBrowser:
    """For tests that need a browser of their own."""
    from tests.clients.browser import started_chromium

    @contextmanager
    def start(*, microphone: Path | None = None) -> Iterator["Browser"]:
        browser = started_chromium(playwright, microphone=microphone)
        try:
            yield browser
        finally:
            browser.close()

    return start


@pytest.fixture(scope="module")
def browser(start_browser: StartBrowser) -> Iterator["Browser"]:
    """A browser without a microphone."""
    with start_browser() as browser:
        yield browser


@pytest.fixture
def open_page(request: pytest.FixtureRequest) -> Iterator[OpenPage]:
    """For pages that are watched until the test ends, and in which nothing may have gone wrong then."""
    from tests.clients.browser import watched_page

    with ExitStack() as pages:

        def open_(url: str, *, browser: "Browser | None" = None, **options: Any) -> "Watched":
            browser = browser or request.getfixturevalue("browser")
            return pages.enter_context(watched_page(browser, url, **options))

        yield open_


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], str]]:
    """Serves an app until the test ends; gives its URL."""
    with ExitStack() as apps:
        yield lambda app: apps.enter_context(served(app))
