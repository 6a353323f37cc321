"""Small media files of each kind, damaged in ways that a number decides."""

import random
from collections.abc import Callable

import numpy as np

from tests.utils.audio.helpers import chirp, mux

# Container, codec, rate in Hz, channel layout, options, whether there is video.
Kind = tuple[str, str, int, str, dict[str, str], bool]

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "100000"}

KINDS: dict[str, Kind] = {
    "wav": ("wav", "pcm_s16le", 16_000, "mono", {}, False),
    "wav, 5.1, float": ("wav", "pcm_f32le", 8_000, "5.1", {}, False),
    "wav, ADPCM": ("wav", "adpcm_ms", 8_000, "mono", {}, False),
    "rf64": ("wav", "pcm_s24le", 16_000, "mono", {"rf64": "always"}, False),
    "w64": ("w64", "pcm_s16le", 16_000, "mono", {}, False),
    "aiff": ("aiff", "pcm_s16be", 16_000, "mono", {}, False),
    "caf": ("caf", "alac", 16_000, "mono", {}, False),
    "au": ("au", "pcm_mulaw", 16_000, "mono", {}, False),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo", {}, False),
    "mp3 without Xing": ("mp3", "libmp3lame", 16_000, "mono", {"write_xing": "0", "id3v2_version": "0"}, False),
    "m4a": ("ipod", "aac", 44_100, "mono", {}, False),
    "m4a, ALAC": ("ipod", "alac", 16_000, "mono", {}, False),
    "aac": ("adts", "aac", 44_100, "mono", {}, False),
    "flac": ("flac", "flac", 16_000, "mono", {}, False),
    "ogg, Opus": ("ogg", "libopus", 48_000, "mono", {}, False),
    "ogg, FLAC": ("ogg", "flac", 16_000, "mono", {}, False),
    "webm": ("webm", "libopus", 48_000, "mono", {}, False),
    "mkv with video": ("matroska", "aac", 48_000, "stereo", {}, True),
    "mkv, PCM": ("matroska", "pcm_s16le", 8_000, "mono", {}, False),
    "mp4 with video": ("mp4", "aac", 48_000, "stereo", {}, True),
    "mp4 in fragments": ("mp4", "aac", 48_000, "mono", FRAGMENTS, False),
    "mpeg-ts": ("mpegts", "aac", 48_000, "mono", {}, True),
    "mpeg-ps": ("mpeg", "mp2", 48_000, "mono", {}, False),
    "avi": ("avi", "libmp3lame", 44_100, "mono", {}, True),
    "flv": ("flv", "aac", 44_100, "mono", {}, False),
    "asf": ("asf", "wmav2", 44_100, "mono", {}, False),
    "wavpack": ("wv", "wavpack", 16_000, "mono", {}, False),
    "amr": ("amr", "libopencore_amrnb", 8_000, "mono", {}, False),
}

_EXTREMES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
_TAGS = (
    b"data",
    b"fmt ",
    b"LIST",
    b"ID3\4\0\0",
    b"moov",
    b"moof",
    b"mdat",
    b"OggS\0",
    b"\x1a\x45\xdf\xa3",
    b"fLaC",
    b"FORM",
)


def make(kind: str) -> bytes:
    """Half a second of the kind, the same bytes each time."""
    container, codec, rate_hz, layout, options, video = KINDS[kind]
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    samples = np.tile(chirp(rate_hz // 2, rate_hz), (channels, 1))
    # Ogg and Matroska would carry random numbers.
    exact = {"fflags": "+bitexact", **options}
    return mux(container, codec, samples, rate_hz, layout=layout, options=exact, video=video)


def mutated(seed: int, originals: dict[str, bytes]) -> tuple[str, bytes]:
    """The file of a seed: its kind, and its bytes with one to four kinds of damage."""
    chance = random.Random(seed)
    kind = chance.choice(sorted(originals))
    data = bytearray(originals[kind])
    other = originals[chance.choice(sorted(originals))]
    for _ in range(chance.randint(1, 4)):
        if data:
            chance.choice(_DAMAGES)(chance, data, other)
    return kind, bytes(data)


def _place(chance: random.Random, data: bytearray) -> int:
    # Headers are small, and most can go wrong in them.
    return chance.randrange(min(len(data), chance.choice([64, 600, len(data), len(data)])))


def _flip_bits(chance: random.Random, data: bytearray, _: bytes) -> None:
    for _number in range(chance.choice([1, 3, 10, 100])):
        data[_place(chance, data)] ^= 1 << chance.randrange(8)


def _overwrite(chance: random.Random, data: bytearray, _: bytes) -> None:
    start, size = _place(chance, data), chance.randint(1, 2_000)
    size = min(size, len(data) - start)
    data[start : start + size] = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])


def _cut(chance: random.Random, data: bytearray, _: bytes) -> None:
    del data[_place(chance, data) :]


def _splice(chance: random.Random, data: bytearray, other: bytes) -> None:
    data[_place(chance, data) :] = other[chance.randrange(len(other)) :]


def _lie(chance: random.Random, data: bytearray, _: bytes) -> None:
    start, size = _place(chance, data), chance.choice([1, 2, 4, 8])
    value = chance.choice([*_EXTREMES, len(data), len(data) - start, chance.getrandbits(64)]) % 256**size
    data[start : start + size] = value.to_bytes(size, chance.choice(["big", "little"]))


def _insert_chunk(chance: random.Random, data: bytearray, _: bytes) -> None:
    size = chance.choice([*_EXTREMES, chance.randint(1, 500)]) % 2**32
    head = [chance.choice(_TAGS), size.to_bytes(4, chance.choice(["big", "little"]))]
    chance.shuffle(head)
    start = _place(chance, data)
    data[start:start] = b"".join(head) + chance.randbytes(chance.randint(0, 500))


def _repeat(chance: random.Random, data: bytearray, _: bytes) -> None:
    first, last = sorted((_place(chance, data), _place(chance, data)))
    data[last:last] = bytes(data[first:last]) * chance.choice([1, 1, 10])


def _remove(chance: random.Random, data: bytearray, _: bytes) -> None:
    start = _place(chance, data)
    del data[start : start + chance.randint(1, 500)]


_DAMAGES: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
    _flip_bits,
    _overwrite,
    _cut,
    _splice,
    _lie,
    _lie,
    _insert_chunk,
    _repeat,
    _remove,
)
