"""A live engine for tests of the mechanics, and a session that is fed and read to its end."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from tests.support.engines import FakeAsrEngine, Gate
from voice_stack.asr.engine.base import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    Capabilities,
    Hypothesis,
    Language,
    LiveWindow,
    Piece,
)
from voice_stack.asr.live.events import Delta, LiveEvent
from voice_stack.asr.live.transcription import LiveTranscription
from voice_stack.core.errors import EngineError
from voice_stack.utils.scheduling import Work
from voice_stack.utils.steps import stop_if_abandoned

WORD_S = 0.4


class FakeLiveEngine(FakeAsrEngine):
    """Hears a word each 0.4 seconds, numbered from the first of the part; the prefix comes first.

    Args:
        fail_at: number of the call that fails.
        call_s: how long a call takes.
    """

    def __init__(
        self, *, gate: Gate | None = None, fail_at: int | None = None, no_speech_prob: float = 0.0, call_s: float = 0.0
    ) -> None:
        super().__init__(gate=gate, can_detect=True)
        self._fail_call = fail_at
        self._call_s = call_s
        self._no_speech_prob = no_speech_prob
        self.windows: list[LiveWindow] = []
        self.most_at_once = 0
        self._running = 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, live=True)

    @property
    def lanes(self) -> int:
        return 2

    def hypothesis(self, window: LiveWindow) -> Work[Hypothesis]:
        return Work(self._hypothesize, window, key=None, cost_s=window.samples.size / SAMPLE_RATE_HZ)

    def _hypothesize(self, windows: Sequence[LiveWindow]) -> Sequence[Hypothesis]:
        (window,) = windows
        call = len(self.windows)
        self.windows.append(window)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            self.gate.step()
            time.sleep(self._call_s)
            stop_if_abandoned()
        finally:
            self._running -= 1
        if call == self._fail_call:
            raise EngineError("The fake engine was told to fail.")
        count = max(len(window.prefix), int(window.samples.size / SAMPLE_RATE_HZ / WORD_S))
        first = window.prefix[0] if window.prefix else 0
        pieces = tuple(
            Piece(f" word{first + number}", (first + number,), (number * WORD_S, (number + 1) * WORD_S))
            for number in range(count)
        )
        return [Hypothesis(pieces, Language(window.options.language or "en", 0.9), -0.9, 1.0, self._no_speech_prob)]


async def feed_and_read(
    live: LiveTranscription, audio: AudioBlock, *, block_s: float = 0.5, commits: bool = False
) -> list[LiveEvent]:
    """Feed audio as fast as it is taken, end it, and read to the end."""

    async def feed() -> None:
        size = round(block_s * SAMPLE_RATE_HZ)
        for first in range(0, audio.size, size):
            await live.feed(audio[first : first + size])
        if commits:
            await live.commit()
        await live.finish()

    feeding = asyncio.ensure_future(feed())
    events = [event async for event in live]
    await feeding
    return events


def joined(events: Sequence[LiveEvent], utterance: str) -> str:
    """The deltas of an utterance."""
    return "".join(event.text for event in events if isinstance(event, Delta) and event.utterance == utterance)
