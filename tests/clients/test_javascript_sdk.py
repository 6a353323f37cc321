"""OpenAI's SDK for JavaScript in realtime sessions, under Node: the class for Node, and the one for browsers."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.realtime import TRANSCRIPTION, pcm
from tests.support.serving import ServiceProcess, service_process
from tests.support.utterances import in_random_order, one_after_the_other, speak_phrases
from tests.support.wer import english_word_error_rate

KEY = "sk-of-this-test"
TEXTS = in_random_order(4)
SCRIPT = Path(__file__).with_name("realtime.mjs")
MODULES = "CLIENTS_NODE_MODULES"

pytestmark = pytest.mark.skipif(
    MODULES not in os.environ or shutil.which("node") is None,
    reason="needs Node and npm's packages: ./scripts/test-clients.sh",
)


@pytest.fixture(scope="module")
def locked_asr(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[ServiceProcess]:
    """Speech to text that wants a key."""
    env = {"MODEL_DIR": str(model_dir), "API_KEYS": KEY}
    with service_process("asr", tmp_path_factory.mktemp("locked"), env=env) as service:
        yield service


@pytest.fixture(scope="module")
def dictation(tts: ServiceProcess) -> NDArray[np.float32]:
    spoken = speak_phrases(tts.base_url)
    return one_after_the_other([spoken[text] for text in TEXTS])


def run(kind: str, service: ServiceProcess, key: str, audio: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = ["node", str(SCRIPT), kind, f"{service.base_url}/v1", key, str(len(TEXTS))]
    return subprocess.run(command, input=audio, capture_output=True, timeout=120)


@pytest.mark.parametrize("kind", ["ws", "websocket"])
def test_each_utterance_is_transcribed_once_and_in_order(
    kind: str, locked_asr: ServiceProcess, dictation: NDArray[np.float32]
) -> None:
    done = run(kind, locked_asr, KEY, pcm(dictation))
    assert (done.returncode, done.stderr) == (0, b"")
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "session.created"
    completed = [event for event in events if event["type"] == f"{TRANSCRIPTION}.completed"]
    assert len({event["item_id"] for event in completed}) == len(TEXTS)
    assert english_word_error_rate(TEXTS, [event["transcript"] for event in completed]) < 0.15
    for event in completed:
        deltas = [
            other["delta"]
            for other in events
            if other["type"] == f"{TRANSCRIPTION}.delta" and other["item_id"] == event["item_id"]
        ]
        assert "".join(deltas) == event["transcript"]


@pytest.mark.parametrize("kind", ["ws", "websocket"])
def test_a_wrong_key_is_an_error(kind: str, locked_asr: ServiceProcess) -> None:
    done = run(kind, locked_asr, "sk-wrong", b"")
    assert done.returncode == 1
    assert b"401" in done.stderr
