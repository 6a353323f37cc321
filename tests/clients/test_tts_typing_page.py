"""Speech while a text is typed, on the page of the TTS service, with a real voice."""

import pytest
from playwright.sync_api import expect

from tests.clients.browser import LISTEN, Watched
from tests.clients.conftest import OpenPage
from tests.clients.test_tts_page import LONG, SENTENCE
from tests.support.serving import ServiceProcess, wait_until


@pytest.fixture
def watched(open_page: OpenPage, tts: ServiceProcess) -> Watched:
    watched = open_page(tts.base_url, script=LISTEN)
    watched.page.get_by_role("button", name="Start").click()
    expect(watched.page.get_by_label("What you type")).to_be_focused()
    return watched


def test_a_sentence_is_heard_while_the_next_is_typed(watched: Watched) -> None:
    keyboard = watched.page.keyboard
    keyboard.type(f"{SENTENCE} And then ")
    for _ in range(100):
        keyboard.type("on ")
        watched.page.wait_for_timeout(100)
        if watched.page.evaluate("heard()"):
            break
    else:
        raise AssertionError("nothing was heard")
    assert watched.accessibility_faults() == []


def test_what_has_no_end_is_said_when_the_typing_pauses(watched: Watched) -> None:
    watched.page.keyboard.type("Hello there")
    assert not watched.page.evaluate("heard()")
    wait_until(lambda: watched.page.evaluate("heard()"))


def test_silence_drops_what_was_typed_and_what_comes_then_is_said(watched: Watched, tts: ServiceProcess) -> None:
    page = watched.page
    page.keyboard.insert_text(LONG)
    wait_until(lambda: page.evaluate("heard()"))
    page.get_by_role("button", name="Silence").click()
    page.wait_for_timeout(100)
    assert not page.evaluate("heard()")
    wait_until(lambda: tts.health()["active"] == 0, timeout_s=3)
    page.keyboard.type(" Hello there.")
    wait_until(lambda: page.evaluate("heard()"))


def test_the_end_of_the_session_ends_the_work(watched: Watched, tts: ServiceProcess) -> None:
    page = watched.page
    page.keyboard.insert_text(LONG)
    wait_until(lambda: page.evaluate("heard()"))
    page.get_by_role("button", name="End").click()
    wait_until(lambda: tts.health()["active"] == 0, timeout_s=3)
    expect(page.get_by_label("What you type")).to_be_hidden()
    assert not page.evaluate("heard()")
