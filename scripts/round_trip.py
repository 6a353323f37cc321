"""Let the TTS service say a sentence and the ASR service write down what it heard.

Exit code 0 when at least four words in five came back, else 1. Needs nothing but Python's standard library.
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

SENTENCE = "Good morning. This machine can speak and listen without any help from the cloud."
ENOUGH = 0.8
TIMEOUT_S = 300.0
HEALTH_TIMEOUT_S = 5.0

# Both services are on this machine: a proxy from the environment must not come between.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class RoundTripError(Exception):
    """A service could not be reached or refused; the message says which and why."""


def setting(name: str, environment: Mapping[str, str], env_file: Path) -> str:
    """A setting as the services read it: from the environment, else from ``env_file``; else empty."""
    pairs = list(environment.items())
    for line in env_file.read_text(encoding="utf-8").splitlines() if env_file.is_file() else []:
        key, _, value = line.strip().removeprefix("export ").partition("=")
        quoted = re.match(r"""\s*(['"])(.*?)\1""", value)
        pairs.append((key, quoted[2] if quoted else re.split(r"\s#", value)[0]))
    values = (value.strip() for key, value in pairs if key.strip().upper() == name)
    return next(filter(None, values), "")


def is_ready(url: str) -> bool:
    """Whether the service at ``url`` answers ``/health`` with 200."""
    try:
        with _open(f"{url}/health", timeout=HEALTH_TIMEOUT_S):
            return True
    except OSError:
        return False


def speak(url: str, text: str, *, prefix: str = "/v1", key: str | None = None) -> bytes:
    """MP3 of ``text`` from the TTS service at ``url``.

    Raises:
        RoundTripError: the service could not be reached, or refused.
    """
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "mp3"}).encode()
    return _post(f"{url}{prefix}/audio/speech", body, "application/json", key)


def transcribe(url: str, audio: bytes, *, prefix: str = "/v1", key: str | None = None) -> str:
    """What the ASR service at ``url`` hears in an MP3 file.

    Raises:
        RoundTripError: the service could not be reached, or refused.
    """
    boundary = uuid.uuid4().hex
    fields = {"model": "whisper-1", "language": "en", "response_format": "json"}
    parts = [f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}'.encode() for n, v in fields.items()]
    file = b'Content-Disposition: form-data; name="file"; filename="spoken.mp3"\r\nContent-Type: audio/mpeg'
    parts.append(file + b"\r\n\r\n" + audio)
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    content_type = f"multipart/form-data; boundary={boundary}"
    answer = _post(f"{url}{prefix}/audio/transcriptions", body, content_type, key)
    return str(json.loads(answer)["text"]).strip()


def overlap(spoken: str, heard: str) -> float:
    """Share of words that two texts have in common, 0 to 1; case, punctuation and order do not count."""
    ours, theirs = (Counter(re.findall(r"\w+", text.casefold())) for text in (spoken, heard))
    return (ours & theirs).total() / max(ours.total(), theirs.total(), 1)


def _post(url: str, body: bytes, content_type: str, key: str | None) -> bytes:
    headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the URL is the caller's own service
    try:
        with _open(request, timeout=TIMEOUT_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace").strip()
        raise RoundTripError(f"{url} answered {error.code}: {said}") from error
    except OSError as error:
        raise RoundTripError(f"{url} could not be reached: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--health", metavar="URL", help="only ask whether the service at URL is ready")
    parser.add_argument("--asr", metavar="URL", default="http://127.0.0.1:5001")
    parser.add_argument("--tts", metavar="URL", default="http://127.0.0.1:5002")
    parser.add_argument("--out", metavar="FILE", type=Path, help="keep the speech (MP3) here")
    options = parser.parse_args(arguments)
    if options.health:
        return 0 if is_ready(options.health) else 1

    env_file = Path(".env")
    prefix = setting("API_V1_STR", os.environ, env_file) or "/v1"
    key = setting("API_KEYS", os.environ, env_file).strip(", ").split(",")[0].strip() or None
    try:
        audio = speak(options.tts, SENTENCE, prefix=prefix, key=key)
        if options.out:
            options.out.write_bytes(audio)
        print(f"spoken: {SENTENCE}" + (f" ({options.out})" if options.out else ""), flush=True)
        heard = transcribe(options.asr, audio, prefix=prefix, key=key)
    except RoundTripError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"heard:  {heard}", flush=True)
    share = overlap(SENTENCE, heard)
    if share < ENOUGH:
        print(f"Only {share:.0%} of the words came back, {ENOUGH:.0%} were expected.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
