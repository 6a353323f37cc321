import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from tests.utils.audio.helpers import RATE_HZ, Samples, decode, mux, needs_proc, noise, resident_bytes, tone
from voice_stack.utils.audio.decode import decode_audio

SOUND_RATE_HZ = 48_000

# Container, codecs of sound and pictures, options.
Film = tuple[str, str, str, dict[str, str]]

FILMS: list[Film] = [
    ("matroska", "aac", "mpeg4", {}),
    ("matroska", "pcm_s16le", "mpeg4", {}),
    ("mp4", "aac", "mpeg4", {}),
    ("mp4", "aac", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
    ("webm", "libopus", "libvpx", {}),
    ("mpegts", "aac", "mpeg2video", {}),
    ("mpeg", "mp2", "mpeg2video", {}),
    ("flv", "aac", "flv", {}),
]


def film(kind: Film, *, late_s: float = 0.0, jumps: dict[float, float] | None = None, pictures_s: float = 5.0) -> bytes:
    """Three seconds of a tone in a film: that late, and from each of those times on that much later still."""
    container, codec, video_codec, options = kind
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, container_options=options) as output:
        packets: list[Packet[Any]] = []
        if pictures_s:
            pictures = output.add_stream(video_codec, rate=25)
            assert isinstance(pictures, VideoStream)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
        sound = output.add_stream(codec, rate=SOUND_RATE_HZ, layout="mono")
        assert isinstance(sound, AudioStream)
        output.start_encoding()
        for number in range(round(25 * pictures_s)):
            picture = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            packets += pictures.encode(picture)
        if pictures_s:
            packets += pictures.encode(None)
        for packet in _sound(sound):
            time_base, pts = packet.time_base, packet.pts
            assert time_base is not None
            assert pts is not None
            delay_s = late_s + sum(more for at, more in (jumps or {}).items() if pts * time_base >= at)
            packet.pts = packet.dts = pts + round(delay_s / time_base)
            packets.append(packet)
        for packet in sorted(packets, key=_time):
            output.mux(packet)
    return buffer.getvalue()


def _sound(stream: AudioStream) -> "list[Packet[Any]]":
    samples = tone(3, SOUND_RATE_HZ)
    size = stream.frame_size or 1024
    packets: list[Packet[Any]] = []
    for start in range(0, len(samples), size):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[np.newaxis, start : start + size]), "fltp", "mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE_HZ, start, Fraction(1, SOUND_RATE_HZ)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _time(packet: "Packet[Any]") -> float:
    return float((packet.dts or 0) * packet.time_base)


def sounding_s(samples: Samples) -> list[float]:
    """The times at which sound begins and ends, in turn."""
    loud = np.abs(samples[: len(samples) // 160 * 160]).reshape(-1, 160).max(axis=1) > 0.2
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [float(edge) / 100 for edge in edges]


@pytest.mark.parametrize("kind", FILMS, ids=str)
@pytest.mark.parametrize("late_s", [0.0, 0.5, 1.5])
def test_sound_that_sets_in_later_than_the_film_comes_that_much_later(kind: Film, late_s: float) -> None:
    assert sounding_s(decode(film(kind, late_s=late_s))) == pytest.approx([late_s, late_s + 3], abs=0.06)


@pytest.mark.parametrize("kind", FILMS, ids=str)
def test_a_gap_in_the_sound_is_silence(kind: Film) -> None:
    assert sounding_s(decode(film(kind, jumps={1.0: 1.5}))) == pytest.approx([0, 1, 2.5, 4.5], abs=0.06)


def test_gaps_add_up() -> None:
    edges = sounding_s(decode(film(FILMS[0], late_s=0.5, jumps={1.0: 0.25, 2.0: 0.5})))

    assert edges == pytest.approx([0.5, 1.5, 1.75, 2.75, 3.25, 4.25], abs=0.06)


def test_sound_without_pictures_begins_with_the_file() -> None:
    assert sounding_s(decode(film(FILMS[0], late_s=1.5, pictures_s=0))) == pytest.approx([0, 3], abs=0.06)


def test_jitter_is_no_gap() -> None:
    jumps = {at: jump for at in np.arange(0.2, 2.8, 0.2) for jump in [0.04 if round(at * 5) % 2 else -0.04]}

    decoded = decode(film(FILMS[1], jumps=jumps))

    assert len(decoded) == 3 * RATE_HZ


@pytest.mark.parametrize("jump_s", [1_000.0, 30_000.0])
def test_a_time_that_lies_makes_no_silence(jump_s: float) -> None:
    decoded = decode(film(FILMS[0], jumps={1.0: jump_s}))

    assert sounding_s(decoded) == pytest.approx([0, 3], abs=0.06)


def test_gaps_after_a_time_that_lies_are_filled() -> None:
    decoded = decode(film(FILMS[0], jumps={1.0: 30_000, 2.0: 1.0}))

    assert sounding_s(decoded) == pytest.approx([0, 2, 3, 4], abs=0.06)


def test_many_gaps_make_no_more_silence_than_fits_the_size_of_the_file() -> None:
    data = film(FILMS[0], jumps={float(at): 9.0 for at in np.arange(0.1, 2.9, 0.1)})
    assert len(data) / 250 < 28 * 9

    silence_s = len(decode(data)) / RATE_HZ - 3

    assert len(data) / 250 - 9 < silence_s < len(data) / 250


def test_the_clock_of_a_broadcast_may_be_set_anew() -> None:
    decoded = decode(film(("mpegts", "aac", "mpeg2video", {}), jumps={1.0: 20.0}))

    assert sounding_s(decoded) == pytest.approx([0, 3], abs=0.06)


def test_corrupt_frames_leave_the_rest_in_its_place() -> None:
    data = bytearray(mux("mp4", "aac", noise(5 * SOUND_RATE_HZ), SOUND_RATE_HZ))
    middle, count = len(data) // 3, len(data) // 5
    data[middle : middle + count] = np.random.default_rng(0).bytes(count)

    assert len(decode(bytes(data))) / RATE_HZ == pytest.approx(5, abs=0.1)


@needs_proc
def test_memory_does_not_grow_with_the_silence(tmp_path: Path) -> None:
    data = film(FILMS[1], jumps={1.0: 1_000.0})

    blocks = decode_audio(io.BytesIO(data))
    next(blocks)
    memory = resident_bytes()
    lengths_s, peaks = zip(*((len(block) / RATE_HZ, resident_bytes()) for block in blocks), strict=True)

    assert sum(lengths_s) == pytest.approx(983, abs=1)
    assert max(lengths_s) == 20
    assert max(peaks) - memory < 12_000_000
