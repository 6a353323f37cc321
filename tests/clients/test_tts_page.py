"""The page of the TTS service in a browser, with a real voice."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from openai import OpenAI
from playwright.sync_api import Page, expect

from tests.clients.browser import LISTEN, Watched
from tests.clients.conftest import OpenPage
from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import ServiceProcess, wait_until
from tests.support.speech import wav_bytes
from tests.support.spoken import FORMATS, decode_speech
from tests.support.wer import english_word_error_rate
from voice_stack.tts.app import create_app

SENTENCE = "Seven brown horses crossed the river before sunset."
LONG = " ".join([SENTENCE, "Nobody knew where the old man had hidden the silver spoons."] * 60)


@pytest.fixture
def watched(open_page: OpenPage, tts: ServiceProcess) -> Watched:
    return open_page(tts.base_url, script=LISTEN)


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def say(page: Page, text: str, audio_format: str = "mp3") -> None:
    page.get_by_label("Text").fill(text)
    page.get_by_label("Format").select_option(audio_format)
    page.get_by_role("button", name="Speak").click()


def seconds(page: Page, element_id: str) -> int:
    minutes, rest = page.locator(f"#{element_id}").inner_text().split(":")
    return int(minutes) * 60 + int(rest)


def wait_made(page: Page) -> None:
    expect(page.get_by_role("button", name="Download speech")).to_be_enabled(timeout=60_000)


def downloaded(page: Page) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download speech").click()
    return Path(download.value.path()).read_bytes()


def test_the_voices_are_there_by_their_languages(page: Page) -> None:
    group = page.get_by_label("Voice", exact=True).locator("optgroup")
    expect(group).to_have_attribute("label", "American English")
    assert group.locator("option").all_inner_texts() == ["joe"]
    expect(page.get_by_label("Language", exact=True)).to_be_hidden()


@pytest.mark.parametrize("audio_format", ["mp3", "aac", "wav", "pcm"])
def test_speech_plays_while_it_is_still_being_made(page: Page, tts: ServiceProcess, audio_format: str) -> None:
    say(page, LONG, audio_format)
    wait_until(lambda: page.evaluate("heard()"))
    assert tts.health()["active"] == 1
    wait_until(lambda: seconds(page, "position") >= 1)
    assert tts.health()["active"] == 1
    expect(page.get_by_role("progressbar", name="Speech is being made")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    assert re.search(r"so far · first sound after \d\.\d\d s", page.locator("#figures").inner_text())


def test_stop_ends_the_work_of_the_service(page: Page, tts: ServiceProcess) -> None:
    say(page, LONG)
    wait_until(lambda: page.evaluate("heard()"))
    assert tts.health()["active"] == 1
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: tts.health()["active"] == 0, timeout_s=3)
    expect(page.locator("#figures")).to_have_text("Stopped")
    assert not page.evaluate("heard()")
    expect(page.get_by_role("button", name="Play")).to_be_disabled()
    say(page, SENTENCE)
    wait_made(page)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_what_is_kept_is_what_was_said(page: Page, asr_client: OpenAI, audio_format: str) -> None:
    say(page, SENTENCE, audio_format)
    expect(page.get_by_text("only once all of it is there")).to_be_visible(visible=audio_format in {"opus", "flac"})
    wait_made(page)
    samples = decode_speech(downloaded(page), audio_format)
    answer = asr_client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", wav_bytes(samples)))
    assert english_word_error_rate([SENTENCE], [answer.text]) == 0
    assert abs(seconds(page, "length") - samples.size / 16_000) < 1


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "wav"])
def test_what_was_said_can_be_heard_again_from_anywhere(page: Page, audio_format: str) -> None:
    say(page, " ".join([SENTENCE] * 4), audio_format)
    wait_made(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    expect(page.locator("#position")).to_have_text("0:00")
    page.get_by_role("slider", name="Position in the speech").fill("4")
    expect(page.locator("#position")).to_have_text("0:04")
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: seconds(page, "position") >= 5)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_enabled()


def test_seeking_while_the_first_pass_plays_goes_on_from_there(page: Page) -> None:
    say(page, " ".join([SENTENCE] * 6), "wav")
    wait_made(page)
    page.get_by_role("slider", name="Position in the speech").press("End")
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    assert seconds(page, "position") == seconds(page, "length")
    assert not page.evaluate("heard()")


def test_the_code_shown_makes_the_same_speech(page: Page, tmp_path: Path) -> None:
    page.get_by_label("Speed").fill("1.5")
    say(page, "It's \"nine\" o'clock,\nand $HOME is `there`.", "wav")
    wait_made(page)
    expected_bytes = len(downloaded(page))
    codes = page.locator("#snippets code").all_inner_texts()
    for code, command in zip(codes, (["bash", "-ec"], [sys.executable, "-c"]), strict=True):
        subprocess.run([*command, code], cwd=tmp_path, check=True, capture_output=True)
        made = tmp_path / "speech.wav"
        assert abs(made.stat().st_size - expected_bytes) <= 0.05 * 48_000
        made.unlink()


def test_an_empty_text_is_told(watched: Watched) -> None:
    watched.allow("status of 400")
    say(watched.page, "  ")
    expect(watched.page.get_by_role("alert")).to_contain_text("empty")
    expect(watched.page.get_by_role("button", name="Stop")).to_be_disabled()


def test_a_speech_that_breaks_off_is_told_and_not_kept(
    serve: Callable[[FastAPI], str], open_page: OpenPage, make_settings: SettingsFactory
) -> None:
    watched = open_page(serve(create_app(make_settings(), FakeTtsEngine(fail_at=20))))
    watched.allow("net::ERR_")
    say(watched.page, LONG, "wav")
    expect(watched.page.get_by_role("alert")).to_contain_text("broke off")
    expect(watched.page.get_by_role("region", name="Speech", exact=True)).to_be_hidden()


def test_a_key_is_asked_for_until_it_is_right_and_never_shown(
    serve: Callable[[FastAPI], str], open_page: OpenPage, make_settings: SettingsFactory
) -> None:
    watched = open_page(serve(create_app(make_settings(api_keys="sesame"), FakeTtsEngine())))
    watched.allow("status of 401")
    page = watched.page
    dialog = page.get_by_role("dialog", name="API key")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("API key")
    page.get_by_role("button", name="Speak").click()
    dialog.get_by_label("Key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("is not one of the service's API_KEYS")
    dialog.get_by_label("Key").fill("sesame")
    dialog.get_by_label("Key").press("Enter")
    wait_made(page)
    expect(page.locator("#snippets")).to_contain_text("$API_KEY")
    assert "sesame" not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(open_page: OpenPage, tts: ServiceProcess, scheme: str) -> None:
    watched = open_page(tts.base_url, color_scheme=scheme, viewport={"width": 320, "height": 800})
    page = watched.page
    expect(page.get_by_text("Model: piper")).to_be_visible()
    assert watched.accessibility_faults() == []
    say(page, LONG)
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    assert watched.accessibility_faults() == []
    page.get_by_role("button", name="Stop").click()
    say(page, SENTENCE)
    wait_made(page)
    assert watched.accessibility_faults() == []
    assert watched.overflow_px() == 0


def test_everything_can_be_done_with_the_keyboard(page: Page, tts: ServiceProcess) -> None:
    keyboard = page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(20):
            keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText")
            if focused.strip().startswith(name):
                return
        raise AssertionError(f"{name} is not reached")

    expect(page.get_by_text("Model: piper")).to_be_visible()
    keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    keyboard.press("Enter")
    tab_to("Text")
    keyboard.press("Control+A")
    keyboard.type(" ".join([SENTENCE] * 3))
    tab_to("Format")
    keyboard.type("W")
    tab_to("Speed")
    keyboard.press("ArrowLeft")
    tab_to("Speak")
    keyboard.press("Enter")
    wait_made(page)
    tab_to("Stop")
    keyboard.press("Space")
    assert page.evaluate("document.activeElement.id") == "speak"
    tab_to("Play")
    keyboard.press("Space")
    wait_until(lambda: seconds(page, "position") >= 1)
    tab_to("Download speech.wav")
    with page.expect_download() as download:
        keyboard.press("Enter")
    assert download.value.suggested_filename == "speech.wav"
    tab_to("Copy")


def test_an_engine_that_cannot_clone_is_told_kindly(page: Page) -> None:
    panel = page.get_by_role("region", name="A voice of your own")
    expect(panel).to_contain_text("ready-made voices")
    expect(panel.get_by_role("button")).to_have_count(0)
