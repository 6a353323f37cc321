"""The page of the ASR service in a browser, with the real model and a microphone that plays recorded speech."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pysubs2
import pytest
import webvtt
from playwright.sync_api import Page, expect

from tests.clients.browser import Watched
from tests.clients.conftest import OpenPage, StartBrowser
from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.serving import ServiceProcess, served, service_process, wait_until
from tests.support.speech import Sample, decode, wav_bytes
from tests.support.wer import english_word_error_rate
from voice_stack.asr.app import create_app

KEY = "key-of-the-page"
RATE_HZ = 16_000

WATCH_WORDS = """() => {
    // Which word is lit, and where playback is, once a frame.
    const audio = document.getElementById("audio");
    window.seen = [];
    const look = () => {
        const lit = document.querySelector(".word.now");
        window.seen.push([audio.currentTime, lit ? Number(lit.dataset.number) : -1]);
        requestAnimationFrame(look);
    };
    look();
}"""
WATCH_CAPTIONS = """() => {
    // How often text came, and what was taken back of it.
    const shown = new Map();
    Object.assign(window, { grown: 0, retracted: [] });
    new MutationObserver(() => {
        for (const line of document.querySelectorAll("#captions p[dir]")) {
            const before = shown.get(line) ?? "";
            if (line.textContent === before) continue;
            if (!line.textContent.startsWith(before)) window.retracted.push([before, line.textContent]);
            shown.set(line, line.textContent);
            window.grown += 1;
        }
    }).observe(document.getElementById("captions"), { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def fox(samples: list[Sample]) -> Sample:
    return next(sample for sample in samples if sample.path.stem == "quick_brown_fox")


@pytest.fixture(scope="module")
def hello(samples: list[Sample]) -> Sample:
    return next(sample for sample in samples if sample.path.stem == "hello_world")


@pytest.fixture(scope="module")
def spoken(fox: Sample, hello: Sample) -> str:
    return f"{fox.transcript} {hello.transcript} {fox.transcript}"


@pytest.fixture(scope="module")
def talk(fox: Sample, hello: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, one after the other with pauses between."""
    pause = np.zeros(RATE_HZ, np.float32)
    parts = [part for sample in (fox, hello, fox) for part in (decode(sample.path.read_bytes()), pause)]
    path = tmp_path_factory.mktemp("talk") / "a talk.wav"
    path.write_bytes(wav_bytes(np.concatenate([pause[: RATE_HZ // 4], *parts]), RATE_HZ))
    return path


@pytest.fixture
def watched(open_page: OpenPage, asr: ServiceProcess) -> Watched:
    return opened(open_page(asr.base_url))


def opened(watched: Watched) -> Watched:
    expect(watched.page.locator("html[data-ready]")).to_have_count(1)
    return watched


def give(page: Page, path: Path) -> None:
    page.locator("#file").set_input_files(path)
    wait_transcribed(page)


def wait_transcribed(page: Page) -> None:
    expect(page.locator("#about")).not_to_be_empty(timeout=60_000)


def text_of(page: Page) -> str:
    return " ".join(page.locator("#transcript p").all_inner_texts())


def download(page: Page, name: str) -> tuple[str, str]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text(encoding="utf-8")


def words_of(page: Page) -> list[dict[str, Any]]:
    words: list[dict[str, Any]] = json.loads(download(page, "JSON")[1])["words"]
    return words


def test_words_light_up_as_they_are_heard(watched: Watched, talk: Path, spoken: str) -> None:
    page = watched.page
    give(page, talk)
    assert english_word_error_rate([spoken], [text_of(page)]) <= 0.1
    expect(page.locator("#waveform canvas").first).to_be_attached()
    words = words_of(page)
    page.evaluate(WATCH_WORDS)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".word").nth(len(words) - 1)).to_have_class(re.compile("now"), timeout=30_000)
    page.get_by_role("button", name="Pause", exact=True).click()
    seen = [(time, number) for time, number in page.evaluate("window.seen") if time > 0]
    long = {number for number, word in enumerate(words) if word["end"] - word["start"] > 0.25}
    assert long <= {number for _, number in seen}, "each has its turn"
    assert len(long) > 5
    late = [(time, number) for time, number in seen if not is_lit_rightly(words, time, number)]
    assert len(late) <= len(seen) * 0.02, late


def is_lit_rightly(words: list[dict[str, Any]], time: float, number: int) -> bool:
    """Two frames either way are the browser's; a word stays lit for a quarter of a second where none follows."""
    frames = 0.07
    if number < 0:
        return all(not word["start"] + frames < time < word["end"] - frames for word in words)
    after = words[number + 1]["start"] if number + 1 < len(words) else float("inf")
    lingers = min(words[number]["end"] + 0.25, after)
    return bool(words[number]["start"] - frames <= time <= lingers + frames)


def played_until(page: Page) -> float:
    """Stop the playback that has begun; where it is then."""
    page.get_by_role("button", name="Pause", exact=True).click()
    time: float = page.locator("#audio").evaluate("audio => audio.currentTime")
    return time


def test_a_word_is_heard_when_it_is_clicked_or_chosen_with_the_keyboard(watched: Watched, talk: Path) -> None:
    page = watched.page
    give(page, talk)
    words = words_of(page)
    page.locator(".word").nth(7).click()
    assert 0 <= played_until(page) - words[7]["start"] < 1.5
    expect(page.locator(".word[tabindex='0']")).to_have_count(1)
    page.locator("#position").press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("role", "button")
    expect(focused).to_have_text(words[7]["word"])
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(focused).to_have_text(words[3]["word"])
    page.keyboard.press("Enter")
    assert 0 <= played_until(page) - words[3]["start"] < 1.5
    page.locator(".word[tabindex='0']").focus()
    page.keyboard.press("End")
    expect(focused).to_have_text(words[-1]["word"])
    page.keyboard.press("Tab")
    expect(focused).to_have_text("SRT")


def test_downloads_are_what_the_api_gives(watched: Watched, asr: ServiceProcess, talk: Path) -> None:
    page = watched.page
    give(page, talk)
    answers = {}
    for label, response_format in (("SRT", "srt"), ("WebVTT", "vtt"), ("Text", "text"), ("JSON", "verbose_json")):
        form = {"response_format": response_format}
        if response_format == "verbose_json":
            form["timestamp_granularities[]"] = ["word", "segment"]  # type: ignore[assignment]
        answer = httpx.post(
            f"{asr.base_url}/v1/audio/transcriptions", files={"file": talk.read_bytes()}, data=form, timeout=60
        )
        name, content = download(page, label)
        answers[name] = content
        if label == "JSON":
            made, given = json.loads(content), answer.json()
            assert {key: made[key] for key in ("task", "text", "language", "duration", "words", "segments")} == {
                key: given[key] for key in ("task", "text", "language", "duration", "words", "segments")
            }
        else:
            assert content == answer.text
    assert list(answers) == ["a talk.srt", "a talk.vtt", "a talk.txt", "a talk.json"]
    assert len(pysubs2.SSAFile.from_string(answers["a talk.srt"])) >= 3
    assert len(webvtt.from_string(answers["a talk.vtt"]).captions) >= 3


def test_captions_appear_while_somebody_speaks(
    open_page: OpenPage, start_browser: StartBrowser, asr: ServiceProcess, talk: Path, spoken: str
) -> None:
    with start_browser(microphone=talk) as browser:
        watched = opened(open_page(asr.base_url, browser=browser))
        page = watched.page
        page.evaluate(WATCH_CAPTIONS)
        page.get_by_label("Language").select_option("en")
        page.get_by_role("button", name="Start captions").click()
        lines = page.locator("#captions p:not(.partial):not(#captions-empty)")
        expect(page.locator("#captions .partial")).to_be_visible()
        assert watched.accessibility_faults() == []
        whole = re.compile("dog.*world.*dog", re.IGNORECASE | re.DOTALL)
        expect(page.locator("#captions")).to_contain_text(whole, timeout=40_000)
        page.get_by_role("button", name="Stop captions").click()
        expect(page.get_by_role("button", name="Start captions")).to_be_enabled(timeout=20_000)
        said = " ".join(lines.all_inner_texts())
        grown, retracted = page.evaluate("[window.grown, window.retracted]")
        code = page.locator("#snippets").inner_text()
    assert english_word_error_rate([spoken], [said]) <= 0.15, said
    assert retracted == []
    assert grown >= 6, "words come one after the other"
    assert 'client.realtime.connect(extra_query={"intent": "transcription"})' in code


def test_a_recording_is_transcribed(
    open_page: OpenPage, start_browser: StartBrowser, asr: ServiceProcess, fox: Sample
) -> None:
    with start_browser(microphone=fox.path) as browser:
        page = opened(open_page(asr.base_url, browser=browser)).page
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#recorded")).to_have_text("0:05", timeout=20_000)
        page.get_by_role("button", name="Stop and transcribe").click()
        wait_transcribed(page)
        assert english_word_error_rate([fox.transcript], [text_of(page)]) <= 0.15
        page.locator(".word").nth(3).click()
        assert played_until(page) > 0


def test_without_a_microphone_it_says_what_is_missing(watched: Watched) -> None:
    page = watched.page
    for name, problem in (("Record", "#problem"), ("Start captions", "#captions-problem")):
        page.get_by_role("button", name=name).click()
        expect(page.locator(problem)).to_have_text("There is no microphone: connect one and try again.")
        expect(page.get_by_role("button", name=name)).to_be_enabled()


def test_a_file_that_is_none_is_answered_with_the_services_own_words(watched: Watched, tmp_path: Path) -> None:
    watched.allow("status of 400")
    watched.allow("ERR_FILE_NOT_FOUND|net::ERR_ABORTED")
    path = tmp_path / "notes.txt"
    path.write_text("no audio")
    page = watched.page
    page.locator("#file").set_input_files(path)
    expect(page.get_by_role("alert")).to_contain_text("not audio or video in a format that can be read")
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#work")).to_be_hidden()


@pytest.fixture(scope="module")
def with_key(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[ServiceProcess]:
    """The service with an API key, below a path of a proxy."""
    env = {"MODEL_DIR": str(model_dir), "API_KEYS": KEY, "ROOT_PATH": "/speech"}
    with service_process("asr", tmp_path_factory.mktemp("keyed"), env=env, ready=True) as service:
        yield service


def test_with_a_key_it_asks_once_and_never_shows_it(
    open_page: OpenPage, start_browser: StartBrowser, with_key: ServiceProcess, fox: Sample
) -> None:
    with start_browser(microphone=fox.path) as browser:
        # The address as somebody types it: without the slash at its end.
        watched = opened(open_page(f"{with_key.base_url}/speech", browser=browser))
        page = watched.page
        watched.allow("status of 401")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Key").fill("a wrong one")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog).to_contain_text("not one of the service's API_KEYS")
        assert watched.accessibility_faults() == []
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_label("Key").press("Enter")
        expect(page.get_by_label("Model")).to_have_value("base")
        give(page, fox.path)
        assert english_word_error_rate([fox.transcript], [text_of(page)]) <= 0.15
        code = page.locator("#snippets").inner_text()
        page.get_by_role("button", name="Start captions").click()
        expect(page.locator("#captions")).to_contain_text(re.compile("fox", re.IGNORECASE), timeout=30_000)
        page.get_by_role("button", name="Stop captions").click()
        code += page.locator("#snippets").inner_text()
        assert page.url == f"{with_key.base_url}/speech/"
        assert KEY not in page.content()
        assert f"{with_key.base_url}/speech/v1" in code
        assert '-H "Authorization: Bearer $API_KEY"' in code
        assert 'api_key=os.environ["API_KEY"]' in code


def test_cancelling_ends_the_work(open_page: OpenPage, make_settings: SettingsFactory, talk: Path) -> None:
    gate = Gate(opened=False)
    app = create_app(make_settings(), FakeAsrEngine(gate=gate))
    with served(app) as url:
        watched = opened(open_page(url))
        watched.allow("net::ERR_ABORTED")
        page = watched.page
        page.locator("#file").set_input_files(talk)
        wait_until(gate.reached.is_set)
        gate.step_once()
        expect(page.locator(".word")).to_have_text(["hello"])
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#work")).to_be_hidden()
        gate.open()
        wait_until(gate.closed.is_set)
        wait_until(lambda: app.state.service.queue.active == 0)
        expect(page.locator(".word")).to_have_text(["hello"])
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_has_no_serious_accessibility_fault(
    open_page: OpenPage, asr: ServiceProcess, talk: Path, theme: str
) -> None:
    watched = opened(open_page(asr.base_url, color_scheme=theme))
    page = watched.page
    assert watched.accessibility_faults() == []
    give(page, talk)
    page.locator(".word").nth(2).click()
    expect(page.locator(".word.now")).to_have_count(1)
    assert watched.accessibility_faults() == []


@pytest.mark.parametrize("viewport", [{"width": 320, "height": 640}, {"width": 640, "height": 450}])
def test_it_fits_a_narrow_window(
    open_page: OpenPage, asr: ServiceProcess, fox: Sample, viewport: dict[str, int]
) -> None:
    watched = opened(open_page(asr.base_url, viewport=viewport))
    assert watched.overflow_px() == 0
    give(watched.page, fox.path)
    assert watched.overflow_px() == 0
    assert watched.accessibility_faults() == []


def test_the_theme_is_remembered(open_page: OpenPage, asr: ServiceProcess) -> None:
    page = opened(open_page(asr.base_url, color_scheme="light")).page
    background = "document => getComputedStyle(document.body).backgroundColor"
    toggle = page.get_by_role("button", name="Dark theme")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    light = page.evaluate_handle("document").evaluate(background)
    toggle.click()
    page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    assert page.evaluate_handle("document").evaluate(background) != light
