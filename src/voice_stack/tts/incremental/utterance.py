"""One continuous speech of a text that is still being written."""

import time
from collections.abc import Iterator
from functools import partial

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.incremental.cutter import Cue, Haste, StreamCutter
from voice_stack.tts.incremental.feed import Mark, TextFeed
from voice_stack.tts.scripts import check_readable
from voice_stack.tts.speech import Script, SpeechFlow, SpeechPiece, longest_chunk

PAUSE_S = 0.3
"""After so long without text, what may be a sentence is one, in seconds."""

LEAST_LEAD_S = 2.0
"""While the listener has so much to hear still, a sentence waits for the next one, as in a text that is whole."""


class Utterance:
    """Says a text as it is being written, with the pauses, loudness and sample rate of one speech.

    Text goes into ``text``, from any thread; ``steps`` gives what can be said of it until now, and is called again
    when there is more, or after ``wait_s``. Its iterators are taken one after the other, on any thread; closing one
    ends the utterance. Without a service::

        utterance = Utterance(engine, ScriptWriter(settings, engine, catalogue).write(""), sample_rate_hz=24_000)
        with closing(SpeechEncoder("wav", 24_000)) as encoder:
            for text in texts:  # of any length, then utterance.text.commit()
                utterance.text.append(text)
                for piece in utterance.steps():
                    if piece is not None:
                        play(encoder.encode(piece).data)
        # at the end encoder.finish()

    Args:
        script: whose own text is empty.
    """

    def __init__(self, engine: TtsEngine, script: Script, *, sample_rate_hz: int, text: TextFeed | None = None) -> None:
        self.text = text or TextFeed()
        """What is to be said."""
        self.is_over = False
        """Whether all of a committed text has been said."""
        self._script = script
        self._cutter = StreamCutter(
            partial(longest_chunk, engine, script), script.language_of, script.cast.own_language
        )
        self._flow = SpeechFlow(engine, script, sample_rate_hz)
        self._mark: Mark | None = None  # read, but what stood before it is not used up
        self._is_flushed = self._is_begun = False
        self._heard_from = 0.0  # when the listener would begin to hear what is given
        self._given_s = 0.0
        self._tried_at = 0.0  # when there was nothing more to say

    def steps(self) -> Iterator[SpeechPiece | None]:
        """Say what can be said now: pieces as those of ``speech_steps``. They end where it takes more text.

        Raises:
            EngineError: the engine failed.
            InvalidRequestError: the text is over, and nothing of it can be said.
        """
        while (cue := self._next_cue()) is not None:
            if not self._is_begun and self._script.cast.wanted is None:
                check_readable(cue.chunk.text, self._script.cast)
            self._is_begun = True
            for piece in self._flow.say(cue.chunk, gap=cue.gap, early=self._lead_s() < LEAST_LEAD_S):
                yield self._counted(piece)
        if self._is_flushed and not self.is_over:
            if not self._is_begun:
                raise InvalidRequestError(
                    "The text has nothing that can be spoken; send some words.", code="nothing_to_say"
                )
            for piece in self._flow.end():
                yield self._counted(piece)
            self.is_over = True

    @property
    def has_more(self) -> bool:
        """Whether the text that has come since makes ``steps`` worth calling. Not while ``steps`` is at work."""
        text = self.text
        return text.may_end or text.unread > self._script.max_chars or (text.unread > 0 and self._cutter.may_end)

    def wait_s(self) -> float | None:
        """After how many seconds ``steps`` may say more though no text has come; None: only text brings more."""
        if self._is_flushed or (self._cutter.is_empty and not self.text.unread):
            return None
        now = time.monotonic()
        due = [self.text.last_at + PAUSE_S, now + self._lead_s() - LEAST_LEAD_S]
        later = [at for at in due if at > self._tried_at]
        return max(0.0, min(later) - now) if later else None

    def _next_cue(self) -> Cue | None:
        cue = self._cutter.next(Haste.NONE)
        while cue is None and self._read():
            cue = self._cutter.next(Haste.NONE)
        if cue is None and not self._is_flushed:
            self._tried_at = time.monotonic()
            cue = self._cutter.next(self._haste(self._tried_at))
        return cue

    def _read(self) -> bool:
        """Hand what has come to the cutter; whether anything has."""
        pieces: list[str] = []
        if self._mark is None:
            while isinstance(piece := self.text.read(), str):
                pieces.append(piece)
            self._mark = piece
        if pieces:
            self._cutter.add("".join(pieces))
            return True
        mark, self._mark = self._mark, None
        if mark is None:
            return False
        self._is_flushed = mark is Mark.COMMIT
        self._cutter.add(mark)
        return True

    def _haste(self, now: float) -> Haste:
        if self._lead_s() >= LEAST_LEAD_S:
            return Haste.NONE
        return Haste.PAUSE if now - self.text.last_at >= PAUSE_S else Haste.LISTENER

    def _counted(self, piece: SpeechPiece | None) -> SpeechPiece | None:
        if piece is not None:
            self._heard_from = self._heard_from or time.monotonic()
            self._given_s += piece.duration_s / self._script.speed
        return piece

    def _lead_s(self) -> float:
        """How much of what was given the listener has not heard yet, in seconds."""
        return self._heard_from + self._given_s - time.monotonic() if self._heard_from else 0.0
