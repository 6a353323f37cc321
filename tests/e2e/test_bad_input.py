"""Bad input against the real services: a clear error each, and the next request is served."""

import io
import json
import select
import socket
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from tests.support.serving import ServiceProcess, service_process
from tests.support.speech import decode, wav_bytes

TRANSCRIBE = "/v1/audio/transcriptions"
SPEAK = "/v1/audio/speech"


@contextmanager
def unharmed(service: ServiceProcess) -> Iterator[httpx.Client]:
    """A client; at the end the service still runs, is idle and has logged no unexpected error."""
    logged = len(service.log)
    with httpx.Client(base_url=service.base_url, timeout=60) as client:
        yield client
        health = client.get("/health").json()
    assert (health["status"], health["queue_depth"]) == ("ok", 0)
    assert "unexpected error" not in service.log[logged:]


def refusal(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, checked for what every error has."""
    assert answer.status_code == status, answer.text[:500]
    assert "Traceback" not in answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) > 10
    return error


@pytest.fixture(scope="module")
def spoken(tts: ServiceProcess) -> dict[str, bytes]:
    """Some seconds of speech in the formats of the service."""
    text = "This sentence is here to be cut off. So is this one, and it is a little longer than the other."
    return {
        name: httpx.post(
            f"{tts.base_url}{SPEAK}", json={"input": text, "voice": "alloy", "response_format": name}, timeout=60
        ).content
        for name in ("mp3", "aac", "flac", "wav")
    }


def muxed(container: str, codec: str, *, seconds: float = 6.0, video: bool = False) -> bytes:
    """Audio, or only pictures, in a container written by FFmpeg with all its headers."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        if video:
            pictures = output.add_stream("mpeg4", rate=10)
            pictures.width = pictures.height = 64
            for number in range(20):
                picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number * 10, np.uint8), format="rgb24")
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode(None))
        else:
            audio = output.add_stream(codec, rate=24_000, layout="mono")
            tone = (0.3 * np.sin(np.arange(round(seconds * 24_000)) * 0.1)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
            frame.sample_rate = 24_000
            frame.time_base = Fraction(1, 24_000)
            for resampled in av.AudioResampler(audio.format, "mono", 24_000, frame_size=audio.frame_size).resample(
                frame
            ):
                output.mux(audio.encode(resampled))
            output.mux(audio.encode(None))
    return target.getvalue()


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("speech.wav", b"RIFF" * 1000)
    return target.getvalue()


def cut_in_a_frame(data: bytes, sync_word: bytes) -> bytes:
    """About half of a stream of frames. Cut between two of them it would be a whole one, for all that can be told."""
    return data[: data.rindex(sync_word, 0, len(data) // 2) + 50]


def test_files_that_cannot_be_transcribed(asr: ServiceProcess, spoken: dict[str, bytes]) -> None:
    plain_wav = wav_bytes(decode(spoken["wav"]))
    with_header = muxed("mp3", "libmp3lame")
    flac, m4a = muxed("flac", "flac"), muxed("ipod", "aac")
    files = {
        "empty.wav": (b"", "empty"),
        "letter.wav": (b"Dear Sir or Madam, this is not a recording.\n" * 50, "not audio"),
        "archive.mp3": (zipped(), "not audio"),
        "random.ogg": (np.random.default_rng(1).bytes(50_000), ""),
        "no_samples.wav": (wav_bytes(np.zeros(0, np.float32)), ""),
        "half_of_ours.mp3": (cut_in_a_frame(spoken["mp3"], b"\xff\xf3"), "cut off"),
        "half_with_xing.mp3": (with_header[: len(with_header) // 2], "cut off"),
        "half.aac": (cut_in_a_frame(spoken["aac"], b"\xff\xf1"), "cut off"),
        "half.wav": (plain_wav[: len(plain_wav) // 2], "cut off"),
        "half.flac": (flac[: len(flac) // 2], ""),
        "half.m4a": (m4a[: len(m4a) // 2], "cut off"),
        "silent_film.mp4": (muxed("mp4", "", video=True), "no audio"),
    }
    with unharmed(asr) as client:
        for name, (data, words) in files.items():
            error = refusal(client.post(TRANSCRIBE, files={"file": (name, data)}), 400)
            print(f"{name}: {error['message']}")
            assert (error["code"], error["param"]) == ("invalid_audio", "file"), name
            assert words in error["message"], (name, error["message"])
        whole = client.post(TRANSCRIBE, files={"file": ("speech.mp3", spoken["mp3"])})
        assert "cut off" in whole.json()["text"]


def test_forms_that_cannot_be_read(asr: ServiceProcess) -> None:
    tone = wav_bytes(np.zeros(1600, np.float32))
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + tone
    kind = "multipart/form-data; boundary=x"
    bodies: list[tuple[bytes, str]] = [
        (b"", kind),
        (b"no boundary in sight", kind),
        (part, kind),
        (part + b"\r\n--y--\r\n", kind),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", kind),
        (b"--x\r\n" + b"A" * 100_000 + b": b\r\n\r\n--x--\r\n", kind),
        (part, "multipart/form-data"),
        (part, 'multipart/form-data; boundary="'),
        (b'{"file": 1}', "application/json"),
        (b"file=1&model=whisper-1", "application/x-www-form-urlencoded"),
        (tone, "audio/wav"),
        (b"--x\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n' * 10_000 + b"--x--", kind),
    ]
    with unharmed(asr) as client:
        for body, content_type in bodies:
            answer = client.post(TRANSCRIBE, content=body, headers={"content-type": content_type})
            assert refusal(answer, 400)["type"] == "invalid_request_error"
        many = [("file", (f"{number}.wav", tone)) for number in range(20)]
        too_many = client.post(TRANSCRIBE, files=many)
        # FastAPI for Python 3.10 does not know the limit.
        assert too_many.status_code == 400 if sys.version_info >= (3, 11) else too_many.status_code in {200, 400}


def test_parameters_of_a_transcription_that_cannot_be(asr: ServiceProcess) -> None:
    tone = {"file": ("a.wav", wav_bytes(np.zeros(16_000, np.float32)))}
    odd = "\0\x01\x1b[31m\u202e" + "x" * 200_000
    with unharmed(asr) as client:
        for form, status in (
            ({"model": "whisper-99"}, 404),
            ({"model": "../../../etc/passwd"}, 404),
            ({"model": odd}, 404),
            ({"language": "klingon"}, 400),
            ({"language": odd}, 400),
            ({"temperature": "-1"}, 400),
            ({"temperature": "nan"}, 400),
            ({"temperature": "1e400"}, 400),
            ({"response_format": odd}, 400),
            ({"timestamp_granularities[]": odd}, 400),
            ({"stream": odd}, 400),
            ({"prompt": "p" * 1_100_000}, 400),
        ):
            refusal(client.post(TRANSCRIBE, files=tone, data=form), status)
        assert client.post(TRANSCRIBE, files=tone, data={"prompt": odd}).status_code == 200


def test_speech_that_cannot_be(tts: ServiceProcess) -> None:
    odd = "\0\x01\x1b[31m\u202e" + "x" * 200_000
    good = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}
    with unharmed(tts) as client:
        for change, status, param in (
            ({"input": ""}, 400, "input"),
            ({"input": " \n\t"}, 400, "input"),
            ({"input": "😀🎉👩‍🚀"}, 400, "input"),
            ({"input": "…!?"}, 400, "input"),
            ({"input": "word " * 30_000}, 400, "input"),
            ({"input": ["a"]}, 400, "input"),
            ({"speed": 9}, 400, "speed"),
            ({"speed": 0}, 400, "speed"),
            ({"speed": "fast"}, 400, "speed"),
            ({"response_format": "midi"}, 400, "response_format"),
            ({"response_format": odd}, 400, "response_format"),
            ({"stream_format": "tape"}, 400, "stream_format"),
            ({"voice": "nobody"}, 404, "voice"),
            ({"voice": odd}, 404, "voice"),
            ({"voice": {"id": "../../etc/passwd"}}, 404, "voice"),
            ({"voice": 7}, 400, "voice"),
            ({"model": "tts-99"}, 404, "model"),
            ({"language": "tlh"}, 400, "language"),
        ):
            error = refusal(client.post(SPEAK, json={**good, **change}), status)
            assert error["param"] == param, (change, error)
        for content in (b"", b"{", b"[]", b'"text"', b"null", b'{"input": "\xff"}', b"[" * 100_000, b"\0" * 100):
            refusal(client.post(SPEAK, content=content, headers={"content-type": "application/json"}), 400)
        refusal(client.post(SPEAK, content=json.dumps(good), headers={"content-type": "text/plain"}), 400)
        assert (
            client.post(SPEAK, json={**good, "input": "Control \0\x01\x1b[31m characters \u202e too."}).status_code
            == 200
        )
        assert len(client.post(SPEAK, json=good).content) > 10_000


def test_a_file_over_the_limit_is_refused_while_it_arrives(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir), "MAX_UPLOAD_MB": "1", "TMPDIR": str(tmp_path)}
    with service_process("asr", tmp_path, env=env) as service, unharmed(service) as client:
        host, port = service.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST {TRANSCRIBE} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            sent = 0
            while not select.select([connection], [], [], 0.005)[0]:
                assert sent < 2**27, "it never answered"
                connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
                sent += len(part)
                part = bytes(2**16)
            answer = connection.recv(2**16)
        print(f"refused after {sent / 2**20:.2f} MiB were sent")
        assert answer.startswith(b"HTTP/1.1 413")
        assert sent < 4 * 2**20
        too_large = {"file": ("a.wav", bytes(2**20 + 1))}
        assert refusal(client.post(TRANSCRIBE, files=too_large), 413)["code"] == "upload_too_large"
        assert client.post(TRANSCRIBE, files={"file": ("a.wav", wav_bytes(np.zeros(16_000, np.float32)))}).is_success
