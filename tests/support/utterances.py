"""Short sentences, spoken by Piper, with pauses between: what somebody dictates for an hour, pressed together."""

import random
from collections.abc import Sequence

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.support.spoken import decode_speech

PHRASES = (
    "Please close the door.",
    "The coffee is still hot.",
    "My brother lives in Berlin.",
    "We need more paper.",
    "It will rain tomorrow.",
    "She plays the piano.",
    "The train was late again.",
    "I like green apples.",
    "He opened the window.",
    "Call me after dinner.",
    "The garden looks beautiful.",
)
PAUSE_S = 0.8
RATE_HZ = 16_000


def speak_phrases(tts_url: str) -> dict[str, NDArray[np.float32]]:
    """Each of them, spoken; mono, 16 kHz."""
    spoken = {}
    with httpx.Client(timeout=60) as client:
        for phrase in PHRASES:
            request = {"input": phrase, "voice": "alloy", "response_format": "pcm"}
            answer = client.post(f"{tts_url}/v1/audio/speech", json=request)
            spoken[phrase] = decode_speech(answer.raise_for_status().content, "pcm")
    return spoken


def in_random_order(count: int, *, seed: int = 7) -> list[str]:
    """So many of them, never the same twice in a row."""
    chosen: list[str] = []
    draw = random.Random(seed)
    while len(chosen) < count:
        phrase = draw.choice(PHRASES)
        if phrase not in chosen[-1:]:
            chosen.append(phrase)
    return chosen


def one_after_the_other(spoken: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """With a pause after each."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    return np.concatenate([part for speech in spoken for part in (speech, pause)])
