"""Where speech begins and ends, whatever the blocks in which its audio comes."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asr.live.conftest import silence
from tests.support.noises import KINDS
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.asr.live.endpointing import Endpointer, Sound, SpeechBegan, SpeechEnded, SpeechGoesOn
from voice_stack.asr.live.options import TurnDetection

TURNS = TurnDetection()


def hear(audio: AudioBlock, cuts: Sequence[int] = (), turns: TurnDetection = TURNS) -> list[Sound]:
    endpointer = Endpointer(turns)
    sounds = [sound for block in np.split(audio, sorted(cuts)) for sound in endpointer.hear(block)]
    return [*sounds, *endpointer.end()]


def stretches(sounds: Sequence[Sound]) -> list[tuple[int, int, AudioBlock]]:
    """Start, end and audio of each."""
    found: list[tuple[int, int, AudioBlock]] = []
    start, blocks = 0, list[AudioBlock]()
    for sound in sounds:
        match sound:
            case SpeechBegan(at):
                start, blocks = at, []
            case SpeechGoesOn(samples, probabilities):
                assert len(probabilities) == -(-samples.size // 512)
                blocks.append(samples)
            case SpeechEnded(at):
                found.append((start, at, np.concatenate(blocks)))
    return found


@pytest.fixture(scope="module")
def expected(three_foxes: AudioBlock) -> list[tuple[int, int, AudioBlock]]:
    return stretches(hear(three_foxes))


def test_each_sentence_is_a_stretch_with_its_padding_and_its_silence(
    three_foxes: AudioBlock, expected: list[tuple[int, int, AudioBlock]], fox: AudioBlock
) -> None:
    assert len(expected) == 3
    for number, (start, end, audio) in enumerate(expected):
        np.testing.assert_array_equal(audio, three_foxes[start:end])
        begins = 0.5 + number * (fox.size / SAMPLE_RATE_HZ + 1)
        assert -0.35 < start / SAMPLE_RATE_HZ - begins < 0.2
        assert 0 < end / SAMPLE_RATE_HZ - begins - fox.size / SAMPLE_RATE_HZ < 0.7


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=40))
def test_blocks_make_no_difference(
    three_foxes: AudioBlock, expected: list[tuple[int, int, AudioBlock]], cuts: list[int]
) -> None:
    found = stretches(hear(three_foxes, cuts))
    assert [(start, end) for start, end, _ in found] == [(start, end) for start, end, _ in expected]
    for (_, _, audio), (_, _, wanted) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(audio, wanted)


def test_a_longer_silence_joins_sentences(three_foxes: AudioBlock) -> None:
    assert len(stretches(hear(three_foxes, turns=TurnDetection(silence_s=2)))) == 1


def test_stretches_do_not_overlap_where_the_padding_is_longer_than_the_pause(three_foxes: AudioBlock) -> None:
    found = stretches(hear(three_foxes, turns=TurnDetection(prefix_padding_s=5, silence_s=0.3)))
    assert len(found) == 3
    assert all(first[1] <= second[0] for first, second in pairwise(found))


@pytest.mark.parametrize("kind", KINDS[:4], ids=lambda kind: kind.__name__)
def test_what_is_no_speech_begins_nothing(kind: object) -> None:
    assert callable(kind)
    assert hear(kind(20.0, np.random.default_rng(3))) == []


def test_a_click_begins_nothing() -> None:
    audio = silence(3)
    audio[20_000:20_400] = 0.9
    assert hear(audio) == []


def test_an_end_forgets_what_came_before_it(fox: AudioBlock) -> None:
    endpointer = Endpointer(TurnDetection())
    endpointer.hear(np.concatenate([silence(0.3), fox[:1000]]))
    assert endpointer.end() == []
    ended_at = endpointer.at
    began, *_ = endpointer.hear(fox)
    assert isinstance(began, SpeechBegan)
    assert began.at >= ended_at
