"""A transcript with times, as ``verbose_json`` gives it, taken back from a client."""

from typing import Annotated

from pydantic import BaseModel, Field

from voice_stack.asr.engine.base import Word
from voice_stack.core.errors import InvalidRequestError, quoted

_NEAR_CHARS = 200
"""How far ahead in the text a word is looked for, and how long it may be."""

_MOST_CHARS = 4000
"""In a segment; Whisper's hold half a minute at most."""

Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e7)]


class TimedText(BaseModel):
    """A segment; times in seconds."""

    start: Seconds
    end: Seconds
    text: Annotated[str, Field(max_length=_MOST_CHARS)]


class TimedWord(BaseModel):
    """A word; times in seconds."""

    word: Annotated[str, Field(min_length=1, max_length=_NEAR_CHARS)]
    start: Seconds
    end: Seconds


class TimedTranscript(BaseModel):
    """What ``verbose_json`` holds of it that subtitles need; all else may stand beside it."""

    duration: Seconds = Field(description="of the audio; no cue lasts longer")
    # Millions of items could be wrong, and each error takes a kilobyte.
    segments: Annotated[list[TimedText], Field(fail_fast=True)]
    words: Annotated[list[TimedWord], Field(fail_fast=True)] | None = Field(
        None, description="with their times cues are cut exactly"
    )

    def spoken(self) -> list[Word]:
        """The text in timed words; without ``words`` each segment is one, for the layout to cut.

        ``verbose_json`` lists words without the spaces and, at OpenAI, the punctuation around them: the segments have
        both. A word that is not where the segments' text goes on is left out, and its text belongs to the one before.

        Raises:
            InvalidRequestError: the words are not those of the segments.
        """
        if not self.words:
            return [Word(segment.start, segment.end, segment.text, 1.0) for segment in self.segments]
        text = "".join(segment.text for segment in self.segments)
        spoken: list[Word] = []
        held: TimedWord | None = None
        begin = end = 0  # of the held word in the text: with the space before it, and without what follows it
        for word in self.words:
            found = text.find(word.word, end, end + _NEAR_CHARS + len(word.word))
            if found < 0:
                continue
            following = end + len(text[end:found].rstrip())
            if held is not None:
                spoken.append(Word(held.start, held.end, text[begin:following], 1.0))
                begin = following
            held, end = word, found + len(word.word)
        if held is None or len(text) - end > _NEAR_CHARS:
            raise InvalidRequestError(
                f"The words are not those of the segments: {quoted(text[end : end + 40])} is none of them. Leave out "
                "words, and the segments' times are used.",
                param="words",
            )
        return [*spoken, Word(held.start, held.end, text[begin:], 1.0)]
