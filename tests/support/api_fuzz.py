"""What schemathesis loads beside the description of an API of ours: data that no schema can describe."""

import math
import struct
from typing import Any

import schemathesis

_RATE_HZ = 8000
_SAMPLES = 0x7C40
_FILES = {"file", "audio_file", "recording", "audio_sample"}
_MEANT = {"language": "en", "model": "whisper-1", "voice": "alloy", "consent": "of mine", "chunking_strategy": "auto"}


def ascii_wav() -> str:
    """Four seconds of tones: a WAV file without a byte above 127, since generated files are texts."""
    samples = bytes(round(64 + 60 * math.sin(number * 0.3) * (number // 1500 % 2)) for number in range(_SAMPLES))
    layout = struct.pack("<IHHIIHH", 16, 1, 1, _RATE_HZ, _RATE_HZ, 1, 8)
    head = b"RIFF" + struct.pack("<I", 36 + _SAMPLES) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", _SAMPLES)
    return (head + samples).decode("ascii")


_WAV = ascii_wav()


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: "schemathesis.Case[Any]", _kwargs: object) -> None:
    """Make most requests that fit the schema ones that the service can serve, too."""
    is_valid = case.meta is not None and case.meta.generation.mode.value == "positive"
    if not is_valid or not isinstance(case.body, dict) or len(repr(case.body)) % 4 == 0:
        return
    for name in _FILES & case.body.keys():
        case.body[name] = _WAV
    meant = {**_MEANT, "model": "tts-1"} if "speech" in case.operation.path else _MEANT
    for where in (case.body, case.query or {}):
        where.update({name: value for name, value in meant.items() if name in where})
    for name, value in list(case.body.items()):
        # In a form nothing is the word "null".
        if value is None or name.startswith("chunking_strategy["):
            del case.body[name]
