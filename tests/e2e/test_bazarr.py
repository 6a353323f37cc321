"""A client that behaves as Bazarr was seen to behave, against the real service with the real model."""

import http.client
import json
import threading
import time
from urllib.parse import urlencode

import numpy as np
import pysubs2
import pytest
import webvtt

from tests.support.raw_http import BOUNDARY, Form, RawClient
from tests.support.serving import ServiceProcess, wait_until
from tests.support.speech import Sample, decode
from tests.support.wer import english_word_error_rate
from voice_stack.utils.audio.pcm import float_to_int16
from voice_stack.utils.glyphs import columns

RATE_HZ = 16_000
MINUTES = 20
PIECE = 2**16
LONGEST_STALL_S = 1.0  # Bazarr gives up after 5 s


def bazarr_form(pcm: bytes) -> Form:
    """The one part that its client sends: named ``audio_file``, that as file name too, and no content type."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="audio_file"\r\n\r\n'
    body = b"".join([head.encode(), pcm, f"\r\n--{BOUNDARY}--\r\n".encode()])
    return Form(f"multipart/form-data; boundary={BOUNDARY}", body)


def send(client: RawClient, path: str, form: Form) -> float:
    """Send a request as fast as the service takes it; returns the longest stall in seconds."""
    client.begin(path, form.content_type, len(form.body))
    stalls = []
    for first in range(0, len(form.body), PIECE):
        sent_at = time.perf_counter()
        client.socket.sendall(form.body[first : first + PIECE])
        stalls.append(time.perf_counter() - sent_at)
    return max(stalls)


def asr_path(**changes: str) -> str:
    query = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false", "video_file": "/films/é.mkv"}
    return "/bazarr/asr?" + urlencode({**query, **changes})


@pytest.fixture(scope="module")
def film(samples: list[Sample]) -> tuple[np.ndarray, list[tuple[float, Sample]]]:
    """Twenty minutes with something said every half a minute, and when what is said."""
    spoken = [sample for sample in samples if sample.path.stem in {"quick_brown_fox", "hello_world"}]
    audio = np.zeros(MINUTES * 60 * RATE_HZ, np.float32)
    said = []
    for number, start_s in enumerate(range(8, MINUTES * 60 - 10, 30)):
        sample = spoken[number % len(spoken)]
        samples_ = decode(sample.path.read_bytes())
        audio[start_s * RATE_HZ : start_s * RATE_HZ + samples_.size] = samples_
        said.append((float(start_s), sample))
    return audio, said


def test_a_film_gets_its_subtitle_while_four_others_upload_and_one_asks_for_the_language(
    asr: ServiceProcess, film: tuple[np.ndarray, list[tuple[float, Sample]]]
) -> None:
    audio, said = film
    pcm = float_to_int16(audio).tobytes()
    client = RawClient(asr.base_url, timeout_s=600)
    stalls = [send(client, asr_path(), bazarr_form(pcm + b"\0"))]
    wait_until(lambda: asr.health()["active"] >= 1)

    def upload(number: int) -> None:
        other = RawClient(asr.base_url, timeout_s=600)
        stalls.append(send(other, asr_path(), bazarr_form(pcm[2 * number :])))
        other.hang_up()

    others = [threading.Thread(target=upload, args=(number,)) for number in range(1, 5)]
    for other in others:
        other.start()
    asked_at = time.perf_counter()
    detector = RawClient(asr.base_url)
    stalls.append(send(detector, "/bazarr/detect-language?encode=false", bazarr_form(pcm)))
    status, body = detector.answer()
    detected_in_s = time.perf_counter() - asked_at
    assert asr.health()["active"] >= 1
    for other in others:
        other.join(60)
    answer = json.loads(body)
    assert (status, answer.get("detected_language"), answer.get("language_code")) == (200, "english", "en"), answer

    status, subtitle = client.answer()
    assert status == 200
    print(f"longest stall while sending {max(stalls):.2f} s; language detected in {detected_in_s:.1f} s")
    assert max(stalls) <= LONGEST_STALL_S
    assert detected_in_s <= 15
    cues = list(pysubs2.SSAFile.from_string(subtitle.decode(), "srt"))
    for start_s, sample in said:
        inside = [cue for cue in cues if start_s - 0.5 <= cue.start / 1000 <= start_s + 4]
        heard = " ".join(cue.plaintext.replace("\n", " ") for cue in inside)
        assert english_word_error_rate([sample.transcript], [heard]) <= 0.15, (start_s, heard)
    assert sum(len(cue.plaintext.split()) for cue in cues) <= 1.05 * sum(
        len(sample.transcript.split()) for _, sample in said
    )
    wait_until(lambda: asr.health()["active"] == 0, 60)

    asked_at = time.perf_counter()
    retry = RawClient(asr.base_url, timeout_s=60)
    send(retry, asr_path(), bazarr_form(pcm + b"\0"))
    assert retry.answer() == (200, subtitle)
    assert time.perf_counter() - asked_at < 10


def test_silence_is_a_newline_and_has_no_language(asr: ServiceProcess) -> None:
    silence = bazarr_form(bytes(2 * 30 * RATE_HZ + 1))
    client = RawClient(asr.base_url)
    send(client, asr_path(), silence)
    assert client.answer() == (200, b"\n")
    client = RawClient(asr.base_url)
    send(client, "/detect-language?encode=false", silence)
    assert client.answer() == (200, b"{}")


def test_the_language_is_told_by_the_speech_after_a_minute_of_silence(
    asr: ServiceProcess, samples: list[Sample]
) -> None:
    wanted = {"es": "spanish", "fr": "french", "it": "italian", "ja": "japanese", "zh": "chinese"}
    for code, name in wanted.items():
        speech = np.concatenate([decode(sample.path.read_bytes()) for sample in samples if sample.language == code])
        pcm = float_to_int16(np.concatenate([np.zeros(60 * RATE_HZ, np.float32), speech])).tobytes()
        client = RawClient(asr.base_url)
        send(client, "/detect-language?encode=false", bazarr_form(pcm))
        status, body = client.answer()
        answer = json.loads(body)
        assert (status, answer["detected_language"], answer["language_code"]) == (200, name, code)
        assert 0.3 <= answer["confidence"] <= 1


def test_an_error_is_answered_on_an_open_connection(asr: ServiceProcess) -> None:
    connection = http.client.HTTPConnection(asr.base_url.removeprefix("http://"), timeout=30)
    form = bazarr_form(b"\0\0")
    for path in (asr_path(task="sing"), asr_path(language="klingon"), asr_path(output="pdf")):
        connection.request("POST", path, form.body, {"Content-Type": form.content_type})
        response = connection.getresponse()
        assert response.status == 400
        assert json.loads(response.read())["error"]["message"]
    connection.request("GET", "/status")
    assert json.loads(connection.getresponse().read())["version"]
    connection.close()


def test_subtitles_in_every_language_parse_and_keep_the_rules(asr: ServiceProcess, samples: list[Sample]) -> None:
    languages = sorted({sample.language for sample in samples})
    assert len(languages) == 9
    for language in languages:
        pause = np.zeros(2 * RATE_HZ, np.float32)
        parts = [part for one in samples if one.language == language for part in (decode(one.path.read_bytes()), pause)]
        audio = np.concatenate(parts)
        pcm = float_to_int16(audio).tobytes()
        texts = {}
        for output in ("srt", "vtt"):
            client = RawClient(asr.base_url)
            send(client, asr_path(language=language, output=output), bazarr_form(pcm))
            status, body = client.answer()
            assert status == 200
            texts[output] = body.decode()
        cues = list(pysubs2.SSAFile.from_string(texts["srt"], "srt"))
        assert cues, language
        assert [(cue.start, cue.end, cue.plaintext) for cue in cues] == [
            (cue.start, cue.end, cue.plaintext) for cue in pysubs2.SSAFile.from_string(texts["vtt"], "vtt")
        ]
        assert [caption.lines for caption in webvtt.from_string(texts["vtt"]).captions] == [
            cue.plaintext.splitlines() for cue in cues
        ]
        end_ms = 0
        for cue in cues:
            lines = cue.plaintext.splitlines()
            assert end_ms <= cue.start < cue.end <= 1000 * audio.size / RATE_HZ
            assert 800 <= cue.duration <= 7000
            assert len(lines) <= 2
            assert max(map(columns, lines)) <= 42
            end_ms = cue.end
