import numpy as np
import pytest

from tests.utils.audio.helpers import Samples, chirp, noise, tone
from voice_stack.utils.audio.loudness import MOST_GAIN_DB, Leveller

RATE_HZ = 24_000


def sentence(level_db: float, duration_s: float = 2.0) -> Samples:
    """A sweep with silence around it."""
    silence = np.zeros(RATE_HZ // 4, np.float32)
    loud = 2 * chirp(round(duration_s * RATE_HZ), RATE_HZ) * np.float32(10 ** (level_db / 20))
    return np.concatenate([silence, loud, silence])


def level(samples: Samples) -> float:
    spoken = samples[np.abs(samples) > 0.001]
    return float(10 * np.log10(np.mean(np.square(spoken, dtype=np.float64))))


def levelled(*sentences: Samples) -> list[Samples]:
    leveller = Leveller(RATE_HZ)
    results = []
    for samples in sentences:
        leveller.begin()
        results.append(leveller.process(samples))
    return results


def test_sentences_become_as_loud_as_the_first_which_stays_as_it_is() -> None:
    first, *others = levelled(sentence(-20), sentence(-24), sentence(-16), sentence(-20, 4.0))

    assert np.array_equal(first, sentence(-20))
    for other in others:
        assert level(other) == pytest.approx(level(first), abs=0.2)


def test_a_whole_sentence_gets_one_gain() -> None:
    _, second = levelled(sentence(-20), sentence(-24))

    spoken = np.abs(sentence(-24)) > 0.001
    gains = second[spoken] / sentence(-24)[spoken]
    assert np.ptp(gains) < 0.001


@pytest.mark.parametrize("level_db", [-45, -3])
def test_the_gain_is_bounded(level_db: float) -> None:
    _, second = levelled(sentence(-20), sentence(level_db))

    assert abs(level(second) - level(sentence(level_db))) <= MOST_GAIN_DB + 0.1


def test_a_word_of_its_own_keeps_some_of_its_emphasis() -> None:
    _, word = levelled(sentence(-20), sentence(-14, 0.3))

    assert -19 < level(word) - level(sentence(0)) < -14.5


def test_a_loud_word_at_the_start_does_not_make_the_rest_loud() -> None:
    _, second, third = levelled(sentence(-14, 0.3), sentence(-20), sentence(-20))

    assert level(second) - level(sentence(-20)) < 2
    assert level(third) == pytest.approx(level(second), abs=1)


def test_silence_and_hiss_are_not_raised() -> None:
    hiss = noise(RATE_HZ, amplitude=0.0003)

    _, second, third = levelled(sentence(-20), hiss, np.zeros(RATE_HZ, np.float32))

    assert np.array_equal(second, hiss)
    assert not third.any()


def test_raised_peaks_do_not_clip() -> None:
    spike = sentence(-30)
    spike[RATE_HZ :: RATE_HZ // 10] = 0.9

    _, second = levelled(sentence(-12), spike)

    assert np.abs(second).max() <= 0.99
    assert level(second) > level(spike) + 3


def test_in_pieces_the_gain_moves_slowly_and_the_sentence_comes_nearer() -> None:
    quiet = tone(4.0, RATE_HZ, amplitude=0.08)
    leveller = Leveller(RATE_HZ)
    leveller.begin()
    leveller.process(tone(4.0, RATE_HZ, amplitude=0.16))
    leveller.begin()

    pieces = [leveller.process(piece) for piece in np.array_split(quiet, 20)]

    gains_db = 20 * np.log10(np.abs(np.concatenate(pieces)[np.abs(quiet) > 0.01] / quiet[np.abs(quiet) > 0.01]))
    assert np.abs(np.diff(gains_db)).max() < 0.01
    assert gains_db[-1] == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("count", [0, 1, 479])
def test_pieces_shorter_than_a_frame_pass(count: int) -> None:
    leveller = Leveller(RATE_HZ)
    leveller.begin()
    leveller.process(sentence(-20))
    leveller.begin()

    assert leveller.process(noise(count)).size == count
