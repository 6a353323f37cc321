"""Transcribes one utterance while it goes on.

A hypothesis is one call of the model on the part at hand, a window of some seconds at the end of the utterance. What
two in a row agree on is given out; at a pause the part is decoded with all care, and where nothing follows that is its
text. Speech that goes on is cut into parts, so that a call takes no longer as it does.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, Hypothesis, LiveWindow, Piece
from voice_stack.asr.engine.doubts import DENSE_SCRIPTS, is_crowded, is_doubtful, is_of_silence, is_repetitive
from voice_stack.asr.live.agreement import Agreement
from voice_stack.asr.live.changes import Changes
from voice_stack.asr.live.cuts import find_cut
from voice_stack.asr.live.events import Delta, LiveEvent, SegmentDone
from voice_stack.asr.live.stretch import Stretch
from voice_stack.asr.live.utterance import Utterance
from voice_stack.asr.live.words import find_words
from voice_stack.utils.speakable import has_speech

FIRST_S = 1.0
"""Audio before the first hypothesis: of less models make words that nobody said."""
STEP_S = 0.3
"""Audio from one hypothesis to the next, at least: it takes two to give a word out."""
PAUSE_S = 0.2
"""A silence after which a part is decoded with all care: mostly nothing follows, and then its text is there at once."""
PART_S = 8.0
"""A part of so much audio ends at a pause."""
CUT_S = 10.0
"""A part of so much audio is cut where somebody speaks on without a pause."""
HARD_CUT_S = 20.0
"""And here it is cut even where there is no good place to."""
MOST_S = 25.0
"""Most audio in a window. There is so much only where it came faster than it was spoken."""

LEAST_HALVED_S = 6.0
"""A part of so much audio is tried by halves where its text cannot be what was said."""

_TRY_AGAIN_S = 3.0
# Speech after the last word without text: models end a text too early now and then, where the voice changes say.
_UNWRITTEN_S = 0.7
_LEAST_PART_S = 1.0
_LEAST_CHARS_PER_S = 6.0  # as in windowed.py: a sentence that was said three times and written once has 5
_LEAST_VOICED_S = 0.1
_WORD_END_S = 0.15  # words end later than their time says
_SPEAKING_S = 0.07  # in a silence that is longer, a hypothesis would only be in the way of the careful one
_SURE_LANGUAGE = 0.5  # probability of a language that needs no more audio to be told

Hypothesize: TypeAlias = Callable[[LiveWindow], Awaitable[Hypothesis]]


@dataclass(frozen=True)
class _Careful:
    """The part decoded with all care, and what of it had been heard then."""

    hypothesis: Hypothesis
    voiced: int  # windows; more of them mean that somebody spoke on
    seconds: float


@dataclass
class _Part:
    """What is known of the part at hand."""

    agreement: Agreement = field(default_factory=Agreement)
    context: str = ""  # what was said right before it
    looked_s: float = 0.0  # how much of it the last hypothesis heard
    careful: _Careful | None = None
    cut_at_s: float = CUT_S


class Transcriber:
    """Follows an utterance.

    Args:
        hypothesize: the engine.
        changes: told where audio was let go of; tells where there is more.
        is_behind: whether audio waits to be looked at, so that text on the way would only cost time.
        tell: takes the deltas and the finished segments.
    """

    def __init__(
        self,
        utterance: Utterance,
        *,
        hypothesize: Hypothesize,
        changes: Changes,
        is_behind: Callable[[], bool],
        tell: Callable[[LiveEvent], None],
    ) -> None:
        self._utterance = utterance
        self._options = utterance.options
        self._hypothesize = hypothesize
        self._changes = changes
        self._is_behind = is_behind
        self._tell = tell
        self._part = _Part()

    async def run(self) -> None:
        """Transcribe the utterance; returns when it is committed and all is told.

        Raises:
            VoiceStackError: the engine failed, or the service stops.
        """
        stretches = self._utterance.stretches
        while True:
            await self._changes.until(lambda: bool(stretches) or self._utterance.end is not None)
            if not stretches:
                return
            self._utterance.text.begin_part()
            self._part = _Part()
            while not await self._step(stretches[0]):
                pass
            stretches.popleft()
            self._changes.notify()

    async def _step(self, stretch: Stretch) -> bool:
        """Wait until there is something to do for a stretch, and do it; returns whether it is all done."""
        await self._changes.until(lambda: self._is_due(stretch))
        part = self._part
        careful = part.careful
        if stretch.ended and stretch.seconds <= MOST_S:
            return await self._finish(stretch)
        if careful is not None and careful.voiced != stretch.voiced and careful.seconds >= PART_S:
            pieces = self._accepted(careful.hypothesis, careful.seconds)
            self._end_part(stretch, careful.hypothesis, pieces, len(pieces), careful.seconds - PAUSE_S / 2)
        elif self._is_paused(stretch):
            voiced = stretch.voiced
            part.careful = _Careful(await self._look(stretch, final=True), voiced, part.looked_s)
            self._leave_unwritten(stretch, part.careful)
        elif stretch.seconds >= min(part.cut_at_s, HARD_CUT_S):
            await self._cut(stretch)
        else:
            await self._look(stretch)
        return False

    def _is_due(self, stretch: Stretch) -> bool:
        part = self._part
        if stretch.ended or stretch.seconds >= HARD_CUT_S or self._is_paused(stretch):
            return True
        if stretch.quiet_s > _SPEAKING_S:
            return False
        if stretch.seconds >= part.cut_at_s:
            return True
        return stretch.seconds >= max(FIRST_S, part.looked_s + STEP_S) and not self._is_behind()

    def _is_paused(self, stretch: Stretch) -> bool:
        """Whether nobody has spoken for a moment, and the part was not decoded with all care since."""
        if stretch.quiet_s < PAUSE_S or stretch.seconds >= HARD_CUT_S or self._is_behind():
            return False
        careful = self._part.careful
        return careful is None or careful.voiced != stretch.voiced

    async def _look(self, stretch: Stretch, *, final: bool = False) -> Hypothesis:
        """Give out what this hypothesis and the last one agree on."""
        part = self._part
        part.looked_s = stretch.seconds
        hypothesis = await self._hear(stretch, part.looked_s, final=final, timed=True)
        is_sure = self._options.language is not None or hypothesis.language.probability > _SURE_LANGUAGE
        if is_sure and self._is_sound(hypothesis, part.looked_s):
            self._give(part.agreement.add(hypothesis.pieces, cut_off=not final), hypothesis)
        return hypothesis

    async def _finish(self, stretch: Stretch) -> bool:
        """Give out the rest of a stretch that has ended; returns whether that is all."""
        careful = self._part.careful
        if not self._part.agreement.given and stretch.voiced_s(0, stretch.seconds) < _LEAST_VOICED_S:
            return True
        if careful is None or careful.voiced != stretch.voiced:
            hypothesis = await self._hear(stretch, stretch.seconds, final=True, timed=True)
            careful = _Careful(hypothesis, stretch.voiced, stretch.seconds)
            if await self._halve(stretch, hypothesis, stretch.seconds) or self._leave_unwritten(stretch, careful):
                return False
        pieces = self._accepted(careful.hypothesis, stretch.seconds)
        self._end_part(stretch, careful.hypothesis, pieces, len(pieces), stretch.seconds)
        return True

    async def _halve(self, stretch: Stretch, hypothesis: Hypothesis, seconds: float) -> bool:
        """End the part where half of it, or a half of that, has a text that can be what was said.

        Short ones do not go wrong as easily. Returns whether that was so.
        """
        if self._part.agreement.given or not self._is_wrong(stretch, hypothesis, seconds):
            return False
        while self._is_wrong(stretch, hypothesis, seconds):
            seconds, _ = stretch.quietest_s(seconds / 4, seconds * 3 / 4)
            hypothesis = await self._hear(stretch, seconds, final=True)
        pieces = self._accepted(hypothesis, seconds)
        self._end_part(stretch, hypothesis, pieces, len(pieces), seconds)
        return True

    def _is_wrong(self, stretch: Stretch, hypothesis: Hypothesis, seconds: float) -> bool:
        """Whether a text that is not of silence is doubtful, or too short or too long for its time."""
        if seconds < LEAST_HALVED_S:
            return False
        avg_logprob, no_speech_prob = hypothesis.avg_logprob, hypothesis.no_speech_prob
        if is_of_silence(avg_logprob=avg_logprob, no_speech_prob=no_speech_prob):
            return False
        if is_doubtful(
            compression_ratio=hypothesis.compression_ratio, avg_logprob=avg_logprob, no_speech_prob=no_speech_prob
        ):
            return True
        dense = 3 if hypothesis.language.code in DENSE_SCRIPTS else 1
        is_thin = dense * len(hypothesis.text) < _LEAST_CHARS_PER_S * stretch.voiced_s(0, seconds)
        return is_thin or not self._is_sound(hypothesis, seconds)

    def _leave_unwritten(self, stretch: Stretch, careful: _Careful) -> bool:
        """End the part at its last word where speech follows for which there is no text; returns whether that is so."""
        words = find_words(careful.hypothesis.pieces)
        if not words or not self._is_sound(careful.hypothesis, careful.seconds):
            return False
        end_s = careful.hypothesis.pieces[words[-1].end - 1].span_s[1] + _WORD_END_S
        if end_s < _LEAST_PART_S or stretch.voiced_s(end_s, careful.seconds) < _UNWRITTEN_S:
            return False
        at_s, _ = stretch.quietest_s(end_s - _WORD_END_S, min(end_s + _WORD_END_S, careful.seconds))
        pieces = careful.hypothesis.pieces
        self._end_part(stretch, careful.hypothesis, pieces, len(pieces), at_s)
        return True

    async def _cut(self, stretch: Stretch) -> None:
        """End the part at the best place in it, and go on with the rest."""
        seconds = min(stretch.seconds, MOST_S)
        hypothesis = await self._hear(stretch, seconds, final=True, timed=True)
        if await self._halve(stretch, hypothesis, seconds):
            return
        pieces = self._accepted(hypothesis, seconds)
        cut = find_cut(pieces, stretch, seconds)
        if cut is not None:
            self._end_part(stretch, hypothesis, pieces, *cut, goes_on=True)
        elif pieces and seconds < HARD_CUT_S:
            self._part.cut_at_s = seconds + _TRY_AGAIN_S
            self._give(self._part.agreement.add(pieces), hypothesis)
        else:
            at_s, _ = stretch.quietest_s(seconds * 2 / 3, seconds)
            self._end_part(stretch, hypothesis, pieces, len(pieces), at_s)

    async def _hear(self, stretch: Stretch, seconds: float, *, final: bool, timed: bool = False) -> Hypothesis:
        options = self._options
        if self._part.context:
            options = replace(options, prompt=" ".join(filter(None, (options.prompt, self._part.context))))
        prefix = self._part.agreement.prefix
        return await self._hypothesize(
            LiveWindow(stretch.beginning(seconds), options, prefix=prefix, final=final, timed=timed)
        )

    def _accepted(self, hypothesis: Hypothesis, seconds: float) -> Sequence[Piece]:
        """The pieces, or only those that were given out where the rest cannot be what was said."""
        return hypothesis.pieces if self._is_sound(hypothesis, seconds) else self._part.agreement.given

    def _is_sound(self, hypothesis: Hypothesis, seconds: float) -> bool:
        if is_of_silence(avg_logprob=hypothesis.avg_logprob, no_speech_prob=hypothesis.no_speech_prob):
            return False
        if is_repetitive(hypothesis.compression_ratio) or not has_speech(hypothesis.text):
            return False
        return not is_crowded(hypothesis.text, seconds, hypothesis.language.code)

    def _end_part(
        self,
        stretch: Stretch,
        hypothesis: Hypothesis,
        pieces: Sequence[Piece],
        count: int,
        at_s: float,
        *,
        goes_on: bool = False,
    ) -> None:
        """The first ``count`` pieces are the part's text, and its audio ends at a time in the stretch."""
        given = self._part.agreement.given
        self._give(self._part.agreement.give(pieces[len(given) : count]), hypothesis)
        text = "".join(piece.text for piece in pieces[:count]).strip()
        start_s = stretch.start / SAMPLE_RATE_HZ
        stretch.let_go(at_s)
        if text:
            self._tell(SegmentDone(self._utterance.id, start_s, stretch.start / SAMPLE_RATE_HZ, text))
        carried = given[count:]
        self._part = _Part(Agreement(carried), context=text if goes_on else "")
        if goes_on:
            self._give(self._part.agreement.add(pieces[count:]), hypothesis)
        if not carried:
            self._utterance.text.begin_part()
        self._changes.notify()

    def _give(self, pieces: Sequence[Piece], hypothesis: Hypothesis) -> None:
        text = self._utterance.text.add(pieces)
        if text:
            self._utterance.language = hypothesis.language.code
            # More audio must not make it another language.
            self._options = replace(self._options, language=hypothesis.language.code)
            self._tell(Delta(self._utterance.id, text))
