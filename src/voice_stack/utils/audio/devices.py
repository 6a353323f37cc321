"""Microphones and loudspeakers of this machine, through PortAudio (python-sounddevice)."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from voice_stack.core.errors import ConfigurationError

Direction = Literal["input", "output"]

_NOUNS = {"input": "microphone", "output": "loudspeaker"}


@dataclass(frozen=True)
class Device:
    """A microphone or a loudspeaker."""

    number: int  # PortAudio's; it may be another when devices come and go
    name: str
    channels: int  # the most
    rate_hz: int  # its own
    is_default: bool


def sound_library() -> ModuleType:
    """The module ``sounddevice``.

    Raises:
        ConfigurationError: it, or PortAudio, is not installed.
    """
    try:
        with _quiet_libraries():
            import sounddevice
    except ImportError as error:
        raise ConfigurationError(
            "microphones and loudspeakers need the extra 'sound': pip install 'voice-stack[sound]'"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"microphones and loudspeakers need the library PortAudio (Debian: apt-get install libportaudio2): {error}"
        ) from error
    library: ModuleType = sounddevice
    return library


def find_devices(direction: Direction) -> Sequence[Device]:
    """Every microphone (``input``), or every loudspeaker.

    Raises:
        ConfigurationError: as for `sound_library`.
    """
    library = sound_library()
    default = library.default.device[direction]
    return [
        Device(
            number=about["index"],
            name=about["name"],
            channels=about[f"max_{direction}_channels"],
            rate_hz=round(about["default_samplerate"]),
            is_default=about["index"] == default,
        )
        for about in library.query_devices()
        if about[f"max_{direction}_channels"] > 0
    ]


def find_device(direction: Direction, wanted: str | None = None) -> Device:
    """The device of a number, or with these words in its name in any case; None: the default one.

    Raises:
        ConfigurationError: there is none or more than one; and as for `sound_library`.
    """
    devices = find_devices(direction)
    noun = _NOUNS[direction]
    if not devices:
        raise ConfigurationError(f"there is no {noun} on this machine")
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    if wanted.isdecimal():
        found = [device for device in devices if device.number == int(wanted)]
    else:
        words = wanted.casefold().split()
        found = [device for device in devices if all(word in device.name.casefold() for word in words)]
        found = [device for device in found if device.name == wanted] or found
    if len(found) != 1:
        known = "; ".join(f"{device.number}: {device.name}" for device in found or devices)
        problem = "names more than one" if found else f"is no {noun} here"
        raise ConfigurationError(f"--device: {wanted!r} {problem}: {known}")
    return found[0]


def describe_devices(direction: Direction) -> str:
    """The devices of this machine, one a line, the default one with an asterisk.

    Raises:
        ConfigurationError: there is none; and as for `sound_library`.
    """
    devices = find_devices(direction)
    if not devices:
        raise ConfigurationError(f"there is no {_NOUNS[direction]} on this machine")
    return "".join(
        f"{'*' if device.is_default else ' '} {device.number:3}  {device.name} "
        f"({device.channels} channel{'s' * (device.channels > 1)}, {device.rate_hz} Hz)\n"
        for device in devices
    )


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep ALSA and JACK from filling the terminal with what of their configuration leads nowhere here."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
