"""Incremental speech with a real voice, heard again."""

import time
import wave
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support.serving import ServiceProcess, wait_until
from tests.support.speech_stream import speech_stream
from tests.support.wer import english_word_error_rate
from tests.test_docs import ROOT, blocks

TEXT = "The museum opens at ten. It closes at half past five."


def test_the_client_on_the_page_makes_the_speech_of_the_whole_text(
    tts: ServiceProcess, tts_client: OpenAI, asr_client: OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks(ROOT / "docs" / "INCREMENTAL_SPEECH.md", "python")
    monkeypatch.chdir(tmp_path)
    address = tts.base_url.replace("http", "ws")
    exec(code.replace("ws://127.0.0.1:5002", address), {})  # noqa: S102 - the page's own
    path = tmp_path / "museum.wav"
    heard = asr_client.audio.transcriptions.create(model="whisper-1", file=path).text
    assert english_word_error_rate([TEXT], [heard]) == 0, heard
    whole = tts_client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").read()
    with wave.open(str(path)) as file:
        # Piper varies the sound and so, a little, where it is silent.
        assert abs(file.getnframes() - len(whole) // 2) <= 0.1 * file.getframerate()


def test_a_cancel_silences_the_voice(tts: ServiceProcess) -> None:
    with speech_stream(tts.base_url) as client:
        client.say([TEXT] * 5)
        client.next("speech.audio.delta")
        began_at = time.monotonic()
        client.send("speech.cancel")
        assert client.ended()[-1]["type"] == "speech.cancelled"
        assert time.monotonic() - began_at < 0.5
        wait_until(lambda: tts.health()["active"] == 0)
