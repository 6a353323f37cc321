"""What python-sounddevice is to the code that uses it, where no machine is sure to have a sound card."""

import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import Self

Block = Callable[..., None]


class PortAudioError(Exception):
    """As PortAudio's."""


class SoundCard(types.ModuleType):
    """A module ``sounddevice`` with the devices that it is told.

    Args:
        devices: name, channels in, channels out.
        rates_hz: what the devices can do; the first one is theirs.
    """

    PortAudioError = PortAudioError

    def __init__(self, *devices: tuple[str, int, int], rates_hz: Sequence[int] = (48_000, 24_000, 16_000)) -> None:
        super().__init__("sounddevice")
        self._devices = devices
        self._rates_hz = rates_hz
        last = len(devices) - 1
        self.default = types.SimpleNamespace(device={"input": last, "output": last})
        self.streams: list[Stream] = []

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "name": name,
                "max_input_channels": inputs,
                "max_output_channels": outputs,
                "default_samplerate": float(self._rates_hz[0]),
            }
            for index, (name, inputs, outputs) in enumerate(self._devices)
        ]

    def check_input_settings(self, device: int, channels: int, _type: str, *, samplerate: int) -> None:
        if samplerate not in self._rates_hz:
            raise PortAudioError("Invalid sample rate")

    check_output_settings = check_input_settings

    def RawInputStream(self, **options: Any) -> "Stream":  # noqa: N802 - theirs
        self.streams.append(Stream(**options))
        return self.streams[-1]

    RawOutputStream = RawInputStream


class Stream:
    """A stream whose callback the test calls."""

    def __init__(
        self,
        *,
        samplerate: int,
        device: int,
        channels: int,
        callback: Block,
        finished_callback: Callable[[], None] = lambda: None,
        **_options: object,
    ) -> None:
        self.rate_hz = samplerate
        self.device = device
        self.channels = channels
        self.callback = callback
        self._finished = finished_callback
        self.started = threading.Event()

    @property
    def active(self) -> bool:
        return self.started.is_set()

    def start(self) -> None:
        self.started.set()

    def stop(self, *, ignore_errors: bool = True) -> None:
        if self.started.is_set():
            self.started.clear()
            self._finished()

    def abort(self, *, ignore_errors: bool = True) -> None:
        self.stop()

    def close(self, *, ignore_errors: bool = True) -> None:
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
