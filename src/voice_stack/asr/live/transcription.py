"""A live transcription: audio goes in as it is recorded, what was said comes out as it is said."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, TranscribeOptions
from voice_stack.asr.live.changes import Changes
from voice_stack.asr.live.endpointing import Endpointer, Sound, SpeechBegan, SpeechGoesOn
from voice_stack.asr.live.events import Committed, Completed, Failed, LiveEvent, SpeechStarted, SpeechStopped
from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.asr.live.stretch import Stretch
from voice_stack.asr.live.transcriber import MOST_S, Hypothesize, Transcriber
from voice_stack.asr.live.utterance import Utterance
from voice_stack.core.errors import EngineError, InvalidRequestError, VoiceStackError

_logger = logging.getLogger(__name__)

LISTEN_S = 0.1
"""Audio that is looked at together, at least: a thread's turn for each 32 ms would cost more than the work."""
LISTEN_MOST_S = 5.0
"""And at most."""
INBOX_S = 5.0
"""Audio that waits to be looked at; ``feed`` waits where there is more."""
WAITING_S = 60.0
"""Audio that waits to be transcribed; none is looked at where there is more."""
LEAST_COMMIT_S = 0.1
AT_ONCE = 2
"""Utterances of a session that are transcribed at a time: one may go on while the one before it is finished."""
MOST_UNREAD = 1000
"""Events that wait for the reader; ``feed`` waits where there are more."""


@dataclass(frozen=True)
class _Order:
    """Something to do when all audio before it was listened to; given the sounds at its end."""

    do: Callable[[Sequence[Sound]], Awaitable[None]]
    dropped: int = 0  # samples before it that are not to be listened to
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: VoiceStackError) -> None:
        """Tell whoever gave it, unless that is told or has gone."""
        if not self.done.done():
            self.done.set_exception(error)


class LiveTranscription:
    """An asynchronous iterator of ``LiveEvent``, to be read by one task while another feeds.

    Utterances are completed in order. An engine failure ends the utterance, not the session.

    Args:
        resolve: checks options against the model.
        hypothesize: the engine.
    """

    def __init__(
        self,
        options: LiveOptions,
        *,
        resolve: Callable[[LiveOptions], TranscribeOptions],
        hypothesize: Hypothesize,
    ) -> None:
        self._resolve = resolve
        self._hypothesize = hypothesize
        self._resolved = resolve(options)
        self._turns = options.turns  # of the next utterance
        self._changes = Changes()
        self._inbox: deque[AudioBlock | _Order] = deque()
        self._inbox_size = 0
        self._endpointer = Endpointer(options.turns or TurnDetection())
        self._since = 0  # sample after the last utterance
        self._utterance: Utterance | None = None  # the one that is not committed
        self._stretch: Stretch | None = None  # the one that goes on
        self._previous: str | None = None
        self._order: deque[Utterance] = deque()  # those that are not over, and those whose turn it is not yet
        self._tasks: dict[Utterance, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._events: deque[LiveEvent] = deque()
        self._is_finished = False  # no more audio comes
        self._is_closed = False
        self._error: VoiceStackError | None = None
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def heard_s(self) -> float:
        """Audio that was listened to, in seconds."""
        return self._endpointer.at / SAMPLE_RATE_HZ

    def is_behind(self) -> bool:
        """Whether audio comes faster than it is spoken, or than it can be transcribed."""
        is_heard_late = self._inbox_size > SAMPLE_RATE_HZ
        return is_heard_late or len(self._order) > AT_ONCE or self._waiting > MOST_S * SAMPLE_RATE_HZ

    def __aiter__(self) -> "LiveTranscription":
        return self

    async def __anext__(self) -> LiveEvent:
        await self._changes.until(lambda: bool(self._events) or self._is_ended())
        if not self._events:
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        event = self._events.popleft()
        self._changes.notify()
        return event

    async def feed(self, samples: NDArray[np.float32]) -> None:
        """Give it more audio; waits while too much is waiting.

        Args:
            samples: mono, 16 kHz, in [-1, 1], shape (samples,) of any length.
        """
        piece = round(LISTEN_MOST_S * SAMPLE_RATE_HZ)
        for first in range(0, samples.size, piece):
            await self._changes.until(self._has_room)
            # A copy: the caller may use its buffer again, and a view would keep the whole of it.
            self._put(np.array(samples[first : first + piece], np.float32))

    async def commit(self) -> None:
        """End the utterance at hand; returns when that is done.

        Raises:
            InvalidRequestError: there is less than 0.1 s of audio.
        """
        await self._give_order(_Order(self._commit))

    async def clear(self) -> None:
        """Forget the audio that was not committed, and its partial work; returns when that is done."""
        dropped = 0
        while self._inbox and not isinstance(block := self._inbox[-1], _Order):
            self._inbox.pop()
            dropped += block.size
        self._inbox_size -= dropped
        await self._give_order(_Order(self._forget, dropped))

    def configure(self, options: LiveOptions) -> None:
        """Change the options from the next utterance on.

        Raises:
            InvalidRequestError: the model cannot do what is asked.
        """
        self._resolved = self._resolve(options)
        self._turns = options.turns
        self._endpointer.configure(options.turns or TurnDetection())

    async def finish(self) -> None:
        """No more audio comes: commit what holds speech. The iterator ends when all is told."""
        await self._give_order(_Order(self._finish))

    async def close(self) -> None:
        """Abandon all work, and wait until nothing of it is left."""
        self._is_closed = True
        tasks = [self._listening, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail_orders(_ended())
        self._changes.notify()
        # Tasks, their tracebacks and what they hear would keep each other until Python looks for such circles.
        self._tasks.clear()
        self._order.clear()
        self._utterance = self._stretch = None
        del self._listening, self._hypothesize

    @property
    def _waiting(self) -> int:
        """Samples that are still to be transcribed."""
        return sum(one.waiting for one in self._order)

    def _put(self, item: AudioBlock | _Order) -> None:
        if self._is_closed or self._is_finished:
            raise _ended()
        self._inbox.append(item)
        if not isinstance(item, _Order):
            self._inbox_size += item.size
        self._changes.notify()

    async def _give_order(self, order: _Order) -> None:
        self._put(order)
        await order.done

    def _fail_orders(self, error: VoiceStackError) -> None:
        for order in self._inbox:
            if isinstance(order, _Order):
                order.fail(error)
        self._inbox.clear()

    def _has_room(self) -> bool:
        if self._is_closed:
            return True
        return self._inbox_size < INBOX_S * SAMPLE_RATE_HZ and len(self._events) < MOST_UNREAD

    def _is_ended(self) -> bool:
        return self._is_closed or (self._is_finished and not self._order)

    # Listening: one task, in the order in which things came.

    async def _listen(self) -> None:
        order: _Order | None = None
        try:
            while not self._is_finished:
                await self._changes.until(self._can_listen)
                block = self._inbox[0]
                if isinstance(block, _Order):
                    order = block
                    self._inbox.popleft()
                    await self._carry_out(order)
                else:
                    await self._listen_on()
        except Exception as error:
            _logger.exception("a live transcription failed")
            self._error = EngineError("The live transcription failed; the log has the details.")
            self._error.__cause__ = error
            self._is_closed = True
        finally:
            ended = self._error or _ended()
            if order is not None:
                order.fail(ended)
            self._fail_orders(ended)
            self._changes.notify()

    def _can_listen(self) -> bool:
        if not self._inbox:
            return False
        if isinstance(self._inbox[0], _Order):
            return True
        is_enough = self._inbox_size >= LISTEN_S * SAMPLE_RATE_HZ or isinstance(self._inbox[-1], _Order)
        return is_enough and self._waiting < WAITING_S * SAMPLE_RATE_HZ

    async def _listen_on(self) -> None:
        blocks: list[AudioBlock] = []
        size = 0
        while self._inbox and not isinstance(block := self._inbox[0], _Order):
            if blocks and size + block.size > LISTEN_MOST_S * SAMPLE_RATE_HZ:
                break
            self._inbox.popleft()
            blocks.append(block)
            size += block.size
        sounds = await asyncio.to_thread(self._endpointer.hear, np.concatenate(blocks))
        self._inbox_size -= size
        self._note(sounds)
        self._changes.notify()

    async def _carry_out(self, order: _Order) -> None:
        sounds = await asyncio.to_thread(self._endpointer.end)
        self._endpointer.at += order.dropped
        try:
            await order.do(sounds)
        except VoiceStackError as error:
            order.fail(error)
        else:
            # Whoever gave it may have gone.
            if not order.done.done():
                order.done.set_result(None)
        self._changes.notify()

    async def _commit(self, sounds: Sequence[Sound]) -> None:
        self._note(sounds, is_commit=True)
        if self._utterance is None:
            if self._endpointer.at - self._since < LEAST_COMMIT_S * SAMPLE_RATE_HZ:
                raise InvalidRequestError(
                    f"There is less than {LEAST_COMMIT_S:g} s of audio to commit.",
                    code="input_audio_buffer_commit_empty",
                )
            self._begin_utterance(self._since)
        self._commit_utterance(self._endpointer.at)

    async def _finish(self, sounds: Sequence[Sound]) -> None:
        self._note(sounds, is_commit=True)
        if self._utterance is not None:
            self._commit_utterance(self._endpointer.at)
        self._is_finished = True

    async def _forget(self, sounds: Sequence[Sound]) -> None:  # noqa: ARG002 - they are forgotten, too
        utterance, self._utterance, self._stretch = self._utterance, None, None
        self._since = self._endpointer.at
        if utterance is not None:
            task = self._tasks.pop(utterance)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._order.remove(utterance)
            # Nothing of it is told any more.
            self._events = deque(event for event in self._events if event.utterance != utterance.id)

    def _note(self, sounds: Sequence[Sound], *, is_commit: bool = False) -> None:
        """What was heard, put to utterances."""
        for sound in sounds:
            if isinstance(sound, SpeechBegan):
                utterance = self._utterance or self._begin_utterance(sound.at if self._turns else self._since)
                if utterance.has_turns:
                    self._events.append(SpeechStarted(utterance.id, sound.at / SAMPLE_RATE_HZ))
                self._stretch = Stretch(sound.at)
                utterance.stretches.append(self._stretch)
                continue
            assert self._utterance is not None  # noqa: S101 - there is speech that has begun
            assert self._stretch is not None  # noqa: S101 - likewise
            if isinstance(sound, SpeechGoesOn):
                if not self._utterance.is_failed:
                    self._stretch.add(sound.samples, sound.probabilities)
                continue
            self._stretch.ended = True
            self._stretch = None
            if self._utterance.has_turns:
                self._events.append(SpeechStopped(self._utterance.id, sound.at / SAMPLE_RATE_HZ))
                if not is_commit:
                    self._commit_utterance(sound.at)

    def _begin_utterance(self, start: int) -> Utterance:
        utterance = self._utterance = Utterance(start, self._resolved, has_turns=self._turns is not None)
        self._order.append(utterance)
        self._tasks[utterance] = asyncio.ensure_future(self._transcribe(utterance))
        return utterance

    def _commit_utterance(self, at: int) -> None:
        assert self._utterance is not None  # noqa: S101 - the callers have looked
        utterance, self._utterance = self._utterance, None
        utterance.end = self._since = at
        self._events.append(Committed(utterance.id, self._previous))
        self._previous = utterance.id

    # Transcribing: one task for each utterance.

    async def _transcribe(self, utterance: Utterance) -> None:
        tell = partial(self._tell, utterance)
        error: VoiceStackError | None = None
        try:
            async with self._at_once:
                await Transcriber(
                    utterance,
                    hypothesize=self._hypothesize,
                    changes=self._changes,
                    is_behind=self.is_behind,
                    tell=tell,
                ).run()
        except VoiceStackError as caught:
            error = caught
        except Exception:
            _logger.exception("an utterance could not be transcribed")
            error = EngineError("The utterance could not be transcribed; the log has the details.")
        if error is not None:
            utterance.is_failed = True
            utterance.stretches.clear()
            self._changes.notify()
            await self._changes.until(lambda: utterance.end is not None)
            tell(Failed(utterance.id, error))
        else:
            tell(Completed(utterance.id, utterance.text.whole, utterance.duration_s, utterance.language))
        utterance.is_over = True
        del self._tasks[utterance]
        while self._order and self._order[0].is_over:
            self._order.popleft()
            if self._order:
                self._events += self._order[0].held
        self._changes.notify()

    def _tell(self, utterance: Utterance, event: LiveEvent) -> None:
        """Text is told in the order of the utterances."""
        if self._order[0] is utterance:
            self._events.append(event)
            self._changes.notify()
        else:
            utterance.held.append(event)


def _ended() -> InvalidRequestError:
    return InvalidRequestError("The live transcription has ended; it takes no more audio.")
