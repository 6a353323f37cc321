"""Voices of one's own on the page of the TTS service, with an engine that clones."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Dialog, Page, expect

from tests.clients.conftest import OpenPage, StartBrowser
from tests.conftest import SettingsFactory
from tests.support.engines import CloningEngine
from voice_stack.tts.app import create_app


@pytest.fixture
def engine() -> CloningEngine:
    return CloningEngine()


@pytest.fixture
def url(serve: Callable[[FastAPI], str], make_settings: SettingsFactory, engine: CloningEngine) -> str:
    return serve(create_app(make_settings(), engine))


@pytest.fixture
def fox(speech_dir: Path) -> Path:
    """A good recording."""
    return speech_dir / "en" / "quick_brown_fox.wav"


def fill(page: Page, name: str, *, language: str = "en") -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Language of the recording").select_option(language)
    page.get_by_label("its owner allows").check()


def add(page: Page) -> None:
    page.get_by_role("button", name="Add the voice").click()


def voices(page: Page) -> list[str]:
    names: list[str] = page.get_by_label("Voice", exact=True).locator("option").all_inner_texts()
    return names


def speak(page: Page) -> None:
    page.get_by_role("button", name="Speak", exact=True).click()
    expect(page.get_by_role("button", name="Download speech")).to_be_enabled()


def test_what_the_microphone_hears_becomes_a_voice_that_speaks_and_can_be_deleted(
    url: str, engine: CloningEngine, start_browser: StartBrowser, open_page: OpenPage, fox: Path
) -> None:
    with start_browser(microphone=fox) as browser:
        watched = open_page(url, browser=browser)
        page = watched.page
        page.get_by_role("button", name="Record", exact=True).click()
        recording = page.get_by_role("button", name="Stop recording")
        expect(recording).to_contain_text("0:04")
        assert watched.accessibility_faults() == []
        recording.click()
        expect(page.get_by_label("The recording", exact=True)).to_be_visible()
        fill(page, "anna", language="de")
        add(page)
        expect(page.get_by_label("Voice", exact=True)).to_have_value("anna_de")
        assert sorted(voices(page)) == ["Claribel Dervla", "anna"]
        assert watched.accessibility_faults() == []

        page.get_by_label("Language", exact=True).select_option("fr")
        speak(page)
        _, options = engine.said[-1]
        assert (options.voice.id, options.language, len(options.voice.samples)) == ("anna_de", "fr", 1)
        expect(page.locator("#snippets")).to_contain_text('extra_body={"language": "fr"}')

        asked = []

        def answer(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.accept() if len(asked) > 1 else dialog.dismiss()

        page.on("dialog", answer)
        delete = page.get_by_role("button", name="Delete the voice anna_de")
        delete.click()
        assert "anna" in voices(page)
        delete.click()
        expect(delete).to_have_count(0)
        assert voices(page) == ["Claribel Dervla"]
        expect(page.get_by_role("heading", name="A voice of your own")).to_be_focused()
        speak(page)
        assert engine.said[-1][1].voice.id == "Claribel Dervla"


def test_a_file_becomes_a_voice(url: str, open_page: OpenPage, fox: Path) -> None:
    page = open_page(url).page
    page.get_by_label("A file with a recording").set_input_files(fox)
    fill(page, "fox")
    add(page)
    expect(page.get_by_label("Voice", exact=True)).to_have_value("fox_en")
    expect(page.get_by_label("The recording", exact=True)).to_be_hidden()
    expect(page.get_by_label("Name")).to_have_value("")


def test_what_the_service_refuses_is_told_and_can_be_mended(url: str, open_page: OpenPage, fox: Path) -> None:
    watched = open_page(url)
    watched.allow("status of 4")
    page = watched.page
    problem = page.get_by_role("alert")
    fill(page, "fox")
    add(page)
    expect(problem).to_have_text("Record something first, or choose a file.")
    page.get_by_label("A file with a recording").set_input_files(
        {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"no audio"}
    )
    add(page)
    expect(problem).to_contain_text("audio")
    page.get_by_label("A file with a recording").set_input_files(fox)
    add(page)
    expect(page.get_by_label("Voice", exact=True)).to_have_value("fox_en")
    expect(problem).to_be_hidden()
    fill(page, "Fox")
    page.get_by_label("A file with a recording").set_input_files(fox)
    add(page)
    expect(problem).to_contain_text("fox_en")


def test_nothing_is_cloned_without_leave(url: str, open_page: OpenPage, fox: Path) -> None:
    page = open_page(url).page
    page.get_by_label("A file with a recording").set_input_files(fox)
    fill(page, "fox")
    leave = page.get_by_label("its owner allows")
    leave.uncheck()
    add(page)
    expect(leave).to_be_focused()
    expect(page.get_by_role("button", name="Add the voice")).to_be_enabled()


def test_a_missing_microphone_is_told(url: str, open_page: OpenPage) -> None:
    page = open_page(url).page
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("microphone")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()


def test_the_panel_has_no_serious_fault_on_a_narrow_screen_in_the_dark(url: str, open_page: OpenPage) -> None:
    watched = open_page(url, color_scheme="dark", viewport={"width": 320, "height": 800})
    expect(watched.page.get_by_role("button", name="Add the voice")).to_be_visible()
    assert watched.accessibility_faults() == []
    assert watched.overflow_px() == 0
