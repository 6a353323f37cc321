"""The microphone."""

import logging
import queue
from collections.abc import Generator
from typing import Any

import numpy as np
from typing_extensions import Buffer

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.utils.audio.devices import find_device, sound_library
from voice_stack.utils.audio.resample import Resampler

_logger = logging.getLogger(__name__)

BLOCK_S = 0.05
"""How much a block holds."""

MOST_WAITING_S = 60.0
"""How far listening may fall behind what is said before audio is left out."""


class Microphone:
    """Records while its blocks are read. PortAudio calls on a thread of its own, which never waits for the reader.

    Args:
        device: its number or words of its name; None: the default one.

    Raises:
        ConfigurationError: there is no such device, or it cannot be opened.
    """

    def __init__(self, device: str | None = None) -> None:
        self._library = sound_library()
        found = find_device("input", device)
        self.name = found.name
        self._left_out_s = 0.0
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stopped = False
        self._rate_hz, self._channels = SAMPLE_RATE_HZ, 1
        try:
            self._library.check_input_settings(found.number, self._channels, "int16", samplerate=self._rate_hz)
        except self._library.PortAudioError:
            self._rate_hz, self._channels = found.rate_hz, found.channels
        try:
            self._stream: Any = self._library.RawInputStream(
                samplerate=self._rate_hz,
                blocksize=round(BLOCK_S * self._rate_hz),
                device=found.number,
                channels=self._channels,
                dtype="int16",
                callback=self._take,
                finished_callback=lambda: self._waiting.put(None),
            )
        except self._library.PortAudioError as error:
            raise ConfigurationError(f"the microphone {self.name!r} cannot be opened: {error}") from error

    def blocks(self) -> Generator[AudioBlock, None, None]:
        resampler = Resampler(self._rate_hz, SAMPLE_RATE_HZ)
        with self._stream:
            while (data := self._waiting.get()) is not None:
                samples = np.frombuffer(data, np.int16).reshape(-1, self._channels)
                yield resampler.process(samples.mean(axis=1, dtype=np.float32) / np.float32(32_768))
        yield resampler.flush()
        if self._left_out_s:
            _logger.warning("%.1f s were not heard: this machine is too slow for the model", self._left_out_s)
        if not self._stopped:
            raise VoiceStackError(f"the microphone {self.name!r} stopped: it may have been unplugged")

    def stop(self) -> None:
        self._stopped = True
        self._stream.stop(ignore_errors=True)

    def _take(self, data: Buffer, *_about: object) -> None:
        if self._waiting.qsize() * BLOCK_S < MOST_WAITING_S:
            self._waiting.put(bytes(data))
        else:
            self._left_out_s += BLOCK_S
