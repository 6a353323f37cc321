"""The loudspeaker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import Buffer

from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.tts.batch.inputs import WHERE_TO
from voice_stack.utils.audio.devices import find_device, sound_library

MOST_WAITING_S = 10.0
"""How far speaking may be ahead of what is heard."""

PLAYED_FORMAT = "pcm"

_SAMPLE_BYTES = 2
_LATENCY_S = 0.3  # what the device holds: enough while the engine has all processors
_LOOK_AGAIN_S = 0.2


class Loudspeaker:
    """Plays s16le mono PCM at ``rate_hz`` as it is written; silence while nothing is.

    PortAudio asks for it on a thread of its own, so that speech goes on playing while the next sentence is made.

    Args:
        rate_hz: the rate that is wanted; ``rate_hz`` is that of the device where it knows only its own.

    Raises:
        ConfigurationError: there is no loudspeaker, or it cannot be opened.
    """

    audio_format = PLAYED_FORMAT

    def __init__(self, rate_hz: int) -> None:
        library = sound_library()
        device = find_device("output")
        try:
            library.check_output_settings(device.number, 1, "int16", samplerate=rate_hz)
            self.rate_hz = rate_hz
        except library.PortAudioError:
            self.rate_hz = device.rate_hz
        self._waiting = bytearray()
        self._changed = threading.Condition()
        try:
            self._stream = library.RawOutputStream(
                samplerate=self.rate_hz,
                latency=_LATENCY_S,
                device=device.number,
                channels=1,
                dtype="int16",
                callback=self._give,
            )
        except library.PortAudioError as error:
            raise ConfigurationError(f"the loudspeaker {device.name!r} cannot be opened: {error}") from error

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Play what is written in the ``with`` block, and end with it: when all is played, or at once at an error."""
        try:
            self._stream.start()
            yield
            self._wait_for(0)
            self._stream.stop()
        finally:
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def write(self, data: bytes) -> None:
        """Play this next; waits while there is much that is not played yet.

        Raises:
            VoiceStackError: the loudspeaker stopped.
        """
        self._wait_for(MOST_WAITING_S)
        with self._changed:
            self._waiting += data

    def _wait_for(self, seconds: float) -> None:
        most = round(seconds * self.rate_hz) * _SAMPLE_BYTES
        with self._changed:
            while len(self._waiting) > most:
                self._changed.wait(_LOOK_AGAIN_S)
                if not self._stream.active:
                    raise VoiceStackError("the loudspeaker stopped: it may have been unplugged")

    def _give(self, target: Buffer, *_about: object) -> None:
        view = memoryview(target).cast("B")
        with self._changed:
            data = self._waiting[: len(view)]
            del self._waiting[: len(data)]
            self._changed.notify()
        view[: len(data)] = data
        view[len(data) :] = bytes(len(view) - len(data))


def open_loudspeaker(rate_hz: int, *, asked: bool) -> Loudspeaker:
    """The loudspeaker of this machine.

    Args:
        asked: whether it was asked for, and not only a file left out.

    Raises:
        ConfigurationError: there is none, or it cannot be opened.
    """
    try:
        return Loudspeaker(rate_hz)
    except ConfigurationError as error:
        if asked:
            raise
        raise ConfigurationError(f"{WHERE_TO}. It cannot be played: {error}") from error
