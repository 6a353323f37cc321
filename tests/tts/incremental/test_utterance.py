"""Speech from a text that is being written, without a service."""

from itertools import chain

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.engines import FakeTtsEngine
from tests.support.speech_stream import tokens
from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.tts.engine.base import Voice
from voice_stack.tts.incremental.feed import TextFeed
from voice_stack.tts.incremental.utterance import LEAST_LEAD_S, PAUSE_S, Utterance
from voice_stack.tts.speech import Script, SpeechPiece, speech_steps
from voice_stack.tts.voices.casting import Cast

RATE_HZ = 24_000
CAST = Cast(Voice("en_US-ann-medium", "ann", "en-US"))
LONG = " ".join(f"This is sentence number {number} of them all. Ok." for number in range(12))


def begun(engine: FakeTtsEngine | None = None) -> Utterance:
    return Utterance(engine or FakeTtsEngine(), Script("", CAST), sample_rate_hz=RATE_HZ)


def samples(pieces: list[SpeechPiece]) -> NDArray[np.float32]:
    return np.concatenate([piece.samples for piece in pieces])


def said_now(utterance: Utterance) -> list[SpeechPiece]:
    return [piece for piece in utterance.steps() if piece is not None]


def test_the_speech_is_that_of_the_whole_text_where_the_listener_has_enough_to_hear() -> None:
    engine, other = FakeTtsEngine(), FakeTtsEngine()
    utterance = begun(engine)
    # More than `LEAST_LEAD_S`: what follows is not hurried, and "Ok." joins its neighbour.
    utterance.text.append(LONG[:200])
    pieces = said_now(utterance)
    assert sum(piece.duration_s for piece in pieces) > LEAST_LEAD_S
    for token in tokens(LONG[200:]):
        utterance.text.append(token)
        pieces += said_now(utterance)
    assert not utterance.is_over
    utterance.text.commit()
    pieces += said_now(utterance)
    assert utterance.is_over
    whole = [piece for piece in speech_steps(other, Script(LONG, CAST), sample_rate_hz=RATE_HZ) if piece is not None]
    assert [text for text, _ in engine.said] == [text for text, _ in other.said]
    np.testing.assert_array_equal(samples(pieces), samples(whole))


def test_it_tells_when_to_ask_again() -> None:
    utterance = begun()
    assert utterance.wait_s() is None
    assert not utterance.has_more
    utterance.text.append("It is open")
    assert not utterance.has_more
    utterance.text.append(".")
    assert utterance.has_more
    assert said_now(utterance) == []
    wait_s = utterance.wait_s()
    assert wait_s is not None
    assert 0 < wait_s <= PAUSE_S
    utterance.text.append(" We")
    assert utterance.has_more
    assert said_now(utterance) != []


def test_a_failure_of_the_engine_is_raised_and_never_an_end() -> None:
    utterance = begun(FakeTtsEngine(fail_at=1))
    utterance.text.append("The first is said. The second one is not. ")
    utterance.text.commit()
    with pytest.raises(EngineError):
        said_now(utterance)
    assert not utterance.is_over


def test_what_ends_a_text_from_outside_comes_after_all_that_was_written() -> None:
    engine = FakeTtsEngine()
    utterance = begun(engine)
    utterance.text.append("All of this")
    utterance.text.flush()
    utterance.text.fail(InvalidRequestError("It is too long."))
    with pytest.raises(InvalidRequestError, match="too long"):
        said_now(utterance)
    assert [text for text, _ in engine.said] == ["All of this"]


def test_a_text_in_a_script_that_the_voice_cannot_read_is_refused() -> None:
    utterance = begun()
    utterance.text.append("Это было вчера вечером.")
    utterance.text.commit()
    with pytest.raises(InvalidRequestError, match="Cyrillic"):
        said_now(utterance)


def test_nothing_can_be_added_to_a_text_that_is_whole() -> None:
    text = TextFeed()
    text.append("One")
    text.commit()
    for add in (text.commit, text.flush, lambda: text.append("Two")):
        with pytest.raises(InvalidRequestError):
            add()
    assert (
        "".join(chain.from_iterable(piece for piece in (text.read(), text.read()) if isinstance(piece, str))) == "One"
    )
