"""That the harness itself notices what goes wrong in a page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from tests.clients.browser import Watched
from tests.clients.conftest import OpenPage, StartBrowser
from tests.support.serving import served

PAGE = """<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">
<main><h1>A page</h1><button></button></main></html>"""

LOUDEST = """async () => {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context);
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    context.createMediaStreamSource(stream).connect(analyser);
    const heard = new Float32Array(analyser.fftSize);
    let loudest = 0;
    for (let pass = 0; pass < 40; pass++) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        analyser.getFloatTimeDomainData(heard);
        loudest = Math.max(loudest, ...heard);
    }
    return loudest;
}"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"content-security-policy": "default-src 'self'; img-src data:"})

    with served(app) as url:
        yield url


@pytest.fixture
def watched(open_page: OpenPage, url: str) -> Watched:
    return open_page(url)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("console.warn('take care')", "take care"),
        ("setTimeout(() => { throw new Error('oh dear'); })", "uncaught: oh dear"),
        ("Promise.reject(new Error('oh dear')), null", "uncaught: oh dear"),
        ("fetch('/nowhere'), null", "404"),
        ("fetch('http://127.0.0.1:9/').catch(() => {}), null", "violates the following Content Security Policy"),
        ("document.body.style.cssText = '', document.body.innerHTML = '<p style=\"color: red\">'", "inline style"),
    ],
)
def test_what_goes_wrong_in_a_page_is_noticed(watched: Watched, script: str, problem: str) -> None:
    assert watched.problems() == []
    watched.page.evaluate(f"() => {{ {script}; }}")
    watched.page.wait_for_timeout(200)
    assert any(problem in found for found in watched.problems())
    watched.allow(".")
    assert watched.problems() == []


def test_an_accessibility_fault_is_found(watched: Watched) -> None:
    assert [fault.split()[0] for fault in watched.accessibility_faults()] == ["button-name"]


def test_a_page_wider_than_its_window_is_found(watched: Watched) -> None:
    assert watched.overflow_px() == 0
    watched.page.evaluate("document.querySelector('main').style.width = '1400px'")
    assert watched.overflow_px() > 100


def test_the_microphone_hears_the_file(
    start_browser: StartBrowser, open_page: OpenPage, url: str, speech_dir: Path
) -> None:
    with start_browser(microphone=speech_dir / "en" / "quick_brown_fox.wav") as browser:
        assert open_page(url, browser=browser).page.evaluate(LOUDEST) > 0.2
