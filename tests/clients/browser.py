"""Debian's Chromium without a window, and what goes wrong in the pages that it shows."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Playwright, Request

from tests.conftest import CACHE

CHROMIUM = shutil.which("chromium")
MODULES = Path(os.environ.get("CLIENTS_NODE_MODULES", CACHE / "clients" / "node_modules"))
"""Where scripts/test-clients.sh has put npm's packages."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)
_SEVERE = {"serious", "critical"}
_PROBE = "Applying inline style violates"
"""What Chromium says where axe-core tries out what a page may do."""
_ABORTED = "net::ERR_ABORTED"
"""What a page itself wanted; and Chromium says so of a body that was read to its end as a stream."""
_LAYOUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

LISTEN = """
const connect = AudioNode.prototype.connect;
const taps = [], media = new Set();
AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
        let tap = taps.find(({ context }) => context === this.context);
        if (!tap) taps.push(tap = new AnalyserNode(this.context, { fftSize: 32768 }));
        connect.call(this, tap);
    }
    return connect.call(this, target, ...rest);
};
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { media.add(this); return play.call(this); };
window.heard = () => {
    const samples = new Float32Array(32768);
    let loudest = 0;
    for (const tap of taps.filter(({ context }) => context.state === "running")) {
        tap.getFloatTimeDomainData(samples);
        for (const sample of samples) loudest = Math.max(loudest, sample);
    }
    const elements = [...media].filter((element) => !element.paused).map((element) => element.currentTime);
    return loudest > 0.05 || Math.max(0, ...elements) > 0.3;
};
"""
"""Script of a page for ``heard()``: whether it plays samples (those on their way to the loudspeaker), or a file."""


def started_chromium(playwright: Playwright, *, microphone: Path | None = None) -> Browser:
    """Start a Chromium with a profile of its own.

    Args:
        microphone: a WAV file that the microphone hears once, from when it is opened; None: there is no microphone.
    """
    assert CHROMIUM is not None
    flags = list(_FLAGS)
    if microphone is not None:
        flags += [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
    # Root, which containers run as, has no sandbox.
    return playwright.chromium.launch(executable_path=CHROMIUM, args=flags, chromium_sandbox=os.geteuid() != 0)


class Watched:
    """A page, and what went wrong in it: console errors and warnings (Chromium reports what a Content Security Policy
    forbids there), uncaught errors, requests that failed."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._allowed: list[re.Pattern[str]] = []
        self._problems: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.on("requestfailed", self._on_failed_request)

    def allow(self, pattern: str) -> None:
        """Expect problems that match a regular expression: they are what the test is about."""
        self._allowed.append(re.compile(pattern))

    def problems(self) -> list[str]:
        """What went wrong so far and was not expected."""
        return [text for text in self._problems if not any(allowed.search(text) for allowed in self._allowed)]

    def accessibility_faults(self) -> list[str]:
        """What axe-core calls serious or critical in the page as it is now."""
        before = len(self._problems)
        self.page.evaluate(_axe())
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        self._problems[before:] = [text for text in self._problems[before:] if _PROBE not in text]
        assert found["passes"], "axe found nothing to look at"
        return [
            f"{fault['id']} ({fault['impact']}): {node['target']} {node['failureSummary']}"
            for fault in found["violations"]
            if fault["impact"] in _SEVERE
            for node in fault["nodes"]
        ]

    def overflow_px(self) -> int:
        """By how much the page is wider than its window."""
        overflow: int = self.page.evaluate(_LAYOUT)
        return overflow

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._problems.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _on_error(self, error: Error) -> None:
        self._problems.append(f"uncaught: {error}")

    def _on_failed_request(self, request: Request) -> None:
        if request.failure != _ABORTED:
            self._problems.append(f"request: {request.method} {request.url} {request.failure}")


@contextmanager
def watched_page(browser: Browser, url: str, *, script: str | None = None, **context_options: Any) -> Iterator[Watched]:
    """Open a page in a context of its own (``Browser.new_context`` has the options); nothing may go wrong in it.

    Args:
        script: runs before those of the page.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context_options})
    context.set_default_timeout(30_000)
    if script is not None:
        context.add_init_script(script)
    try:
        watched = Watched(context.new_page())
        watched.page.goto(url)
        yield watched
        assert watched.problems() == []
    finally:
        context.close()


@cache
def _axe() -> str:
    return (MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
