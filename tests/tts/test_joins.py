import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.tts.joins import END_S, PAUSES_S, START_S, Joiner
from voice_stack.utils.text import Boundary

RATE_HZ = 24_000

Samples = NDArray[np.float32]


def sound(duration_s: float, *, before_s: float = 0.0, after_s: float = 0.0, level: float = 0.3) -> Samples:
    """A tone between faint noise."""
    count = round(duration_s * RATE_HZ)
    # A cosine: it begins and ends as abruptly as can be.
    voiced = level * np.cos(2 * np.pi * 200 * np.arange(count) / RATE_HZ)
    rng = np.random.default_rng(0)
    sides = [1e-5 * rng.standard_normal(round(side_s * RATE_HZ)) for side_s in (before_s, after_s)]
    return np.concatenate([sides[0], voiced, sides[1]]).astype(np.float32)


def joined(*chunks: Samples, pause_s: float = 0.3, pieces: int = 1) -> Samples:
    joiner = Joiner(RATE_HZ)
    out = []
    for chunk in chunks:
        joiner.begin(pause_s)
        out += [joiner.process(piece) for piece in np.array_split(chunk, pieces)]
    return np.concatenate([*out, joiner.end()])


def silences(samples: Samples) -> list[float]:
    """The seconds of near silence before, between and after what sounds, in order."""
    loud = np.flatnonzero(np.abs(samples) > 0.001)
    gaps = np.diff(loud)
    inner = gaps[gaps > RATE_HZ // 100]
    return [count / RATE_HZ for count in (loud[0], *inner, samples.size - 1 - loud[-1])]


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize(("after_s", "before_s"), [(0.0, 0.0), (0.12, 0.035), (0.02, 0.01), (1.0, 1.0)])
def test_the_pause_between_sounds_is_the_one_asked_for(
    boundary: Boundary, after_s: float, before_s: float, pieces: int
) -> None:
    pause_s = PAUSES_S[boundary]

    _, between, _ = silences(
        joined(sound(0.5, after_s=after_s), sound(0.5, before_s=before_s), pause_s=pause_s, pieces=pieces)
    )

    # The 25 ms beside a sound are never cut, and sounds are found by 5 ms.
    least_s = min(after_s, 0.025) + min(before_s, 0.025)
    assert between == pytest.approx(max(pause_s, least_s), abs=0.011)


@pytest.mark.parametrize("before_s", [0.0, 0.02, 0.04, 2.0])
def test_the_first_sound_comes_early_but_not_at_once(before_s: float) -> None:
    start, _ = silences(joined(sound(0.5, before_s=before_s)))

    assert start == pytest.approx(START_S, abs=0.006)


@pytest.mark.parametrize(("after_s", "kept_s"), [(0.0, 0.01), (0.15, 0.15), (2.0, END_S)])
def test_the_end_keeps_its_natural_silence_up_to_a_point(after_s: float, kept_s: float) -> None:
    _, end = silences(joined(sound(0.5, after_s=after_s)))

    assert end == pytest.approx(kept_s, abs=0.006)


def test_there_is_no_step_at_any_join() -> None:
    out = joined(sound(0.5), sound(0.5), sound(0.4), pause_s=0.0)

    natural = np.abs(np.diff(sound(0.5))).max()
    assert np.abs(np.diff(np.concatenate([[0], out, [0]]))).max() < 2 * natural


def test_weak_sounds_at_the_edges_stay_whole() -> None:
    weak = sound(0.1, level=0.002)
    chunk = np.concatenate([sound(0, before_s=0.3), weak, sound(0.5), weak, sound(0, after_s=0.3)])

    out = joined(chunk, chunk)

    loud = np.flatnonzero(np.abs(out) > 0.0015)
    assert np.ptp(loud) / RATE_HZ == pytest.approx(0.7 + 0.3 + 0.7, abs=0.011)


def test_silence_inside_a_chunk_is_not_touched() -> None:
    chunk = np.concatenate([sound(0.5, after_s=0.4), sound(0.5)])

    assert silences(joined(chunk, pieces=11))[1] == pytest.approx(0.4, abs=0.001)


def test_only_the_quiet_end_is_held_back() -> None:
    joiner = Joiner(RATE_HZ)
    joiner.begin(0.0)

    out = joiner.process(sound(0.5))

    assert out.size / RATE_HZ == pytest.approx(START_S + 0.5, abs=0.005)
    assert joiner.process(sound(0.3)).size / RATE_HZ == pytest.approx(0.3, abs=0.001)
    assert joiner.process(sound(0.0, after_s=0.5)).size / RATE_HZ == pytest.approx(0.025, abs=0.005)
    assert joiner.process(sound(0.3)).size / RATE_HZ == pytest.approx(0.775, abs=0.005)


def test_how_a_chunk_is_cut_into_pieces_changes_next_to_nothing() -> None:
    chunks = (sound(0.5, before_s=0.1, after_s=0.2), sound(0.5, before_s=0.1, after_s=0.2))

    whole, cut = joined(*chunks), joined(*chunks, pieces=97)

    assert abs(whole.size - cut.size) <= 0.015 * RATE_HZ


def test_a_chunk_without_sound_leaves_the_longer_pause() -> None:
    joiner = Joiner(RATE_HZ)
    out = []
    for chunk, pause_s in ((sound(0.5), 0.0), (sound(0, before_s=0.4), 0.6), (sound(0.5), 0.3)):
        joiner.begin(pause_s)
        out.append(joiner.process(chunk))
    _, between, _ = silences(np.concatenate([*out, joiner.end()]))

    assert between == pytest.approx(0.6, abs=0.011)


def test_nothing_but_silence_comes_out_as_it_went_in() -> None:
    hush = sound(0, before_s=0.4)

    assert np.array_equal(joined(hush), hush)
    assert joined().size == 0
