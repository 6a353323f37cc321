import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.utils.audio.helpers import NO_XING, RATE_HZ, decode, mux, noise, tone, wav
from voice_stack.core.errors import InvalidAudioError

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}

TRUNCATED: dict[str, Callable[[Path], bytes]] = {
    "wav": lambda _: mux("wav", "pcm_s16le", noise(80_000), RATE_HZ),
    "flac": lambda _: mux("flac", "flac", noise(80_000), RATE_HZ),
    "mp3 with a Xing header": lambda _: mux("mp3", "libmp3lame", noise(220_500), 44_100),
    "mp3 without": lambda _: mux("mp3", "libmp3lame", noise(220_500), 44_100, options=NO_XING),
    "aac": lambda _: mux("adts", "aac", noise(220_500), 44_100),
    "mp4, index at the end": lambda _: mux("mp4", "aac", noise(240_000), 48_000),
    "mp4, index in front": lambda folder: mux(
        "mp4", "aac", noise(240_000), 48_000, file=folder / "a.mp4", options={"movflags": "faststart"}
    ),
    "webm": lambda _: mux("webm", "libopus", noise(240_000), 48_000),
    "matroska with video": lambda _: mux("matroska", "aac", noise(240_000), 48_000, video=True),
    "mp4 in fragments": lambda _: mux("mp4", "aac", noise(240_000), 48_000, options=FRAGMENTS),
    "mp4 in fragments, live": lambda _: mux("mp4", "aac", noise(240_000), 48_000, options=FRAGMENTS, seekable=False),
    "m4a, ALAC": lambda _: mux("ipod", "alac", noise(220_500), 44_100),
    "ogg, Opus": lambda _: mux("ogg", "libopus", noise(240_000), 48_000),
    "ogg, Vorbis": lambda _: mux("ogg", "vorbis", np.tile(noise(220_500), (2, 1)), 44_100, layout="stereo"),
    "ogg, FLAC": lambda _: mux("ogg", "flac", noise(80_000), RATE_HZ),
    "rf64": lambda _: mux("wav", "pcm_s16le", noise(80_000), RATE_HZ, options={"rf64": "always"}),
    "aiff": lambda _: mux("aiff", "pcm_s16be", noise(80_000), RATE_HZ),
    "aiff, ADPCM": lambda _: mux("aiff", "adpcm_ima_qt", noise(220_500), 44_100),
    "caf": lambda _: mux("caf", "pcm_s16le", noise(80_000), RATE_HZ),
    "au": lambda _: mux("au", "pcm_s16be", noise(80_000), RATE_HZ),
    "flv": lambda _: mux("flv", "aac", noise(220_500), 44_100),
    "wavpack": lambda _: mux("wv", "wavpack", noise(80_000), RATE_HZ),
}


@pytest.mark.parametrize("kind", TRUNCATED)
@pytest.mark.parametrize("share", [0.5, 0.83])
def test_a_file_that_was_cut_off_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    whole = TRUNCATED[kind](tmp_path)
    assert len(decode(whole)) / RATE_HZ == pytest.approx(5, abs=0.1)

    with pytest.raises(InvalidAudioError, match="cut off") as refused:
        decode(whole[: round(share * len(whole)) + 7])

    assert refused.value.param == "file"


def _ogg_pages() -> list[bytes]:
    whole = mux("ogg", "libopus", noise(240_000), 48_000, options={"page_duration": "200000"})
    return [b"OggS" + page for page in whole.split(b"OggS")[1:]]


def test_an_ogg_that_ends_with_a_page_is_complete_though_no_page_says_so() -> None:
    pages = _ogg_pages()
    half = b"".join(pages[: len(pages) // 2])

    assert len(decode(half)) / RATE_HZ == pytest.approx(2.5, abs=0.3)
    assert len(decode(half + bytes(1000))) / RATE_HZ == pytest.approx(2.5, abs=0.3)


@pytest.mark.parametrize("more", [1, 3, 4, 20, 27, 30, 300])
def test_an_ogg_that_ends_anywhere_in_a_page_is_refused(more: int) -> None:
    pages = _ogg_pages()
    half = len(pages) // 2

    with pytest.raises(InvalidAudioError, match="middle of a page"):
        decode(b"".join(pages[:half]) + pages[half][:more])


def test_an_ogg_that_ends_in_a_packet_is_refused() -> None:
    whole = mux("ogg", "flac", noise(80_000), RATE_HZ)
    pages = [b"OggS\0" + page for page in whole.split(b"OggS\0")[1:]]
    last = pages[len(pages) // 2]
    segments = last[26]
    without_one = (
        last[:26] + bytes([segments - 1]) + last[27 : 26 + segments] + last[27 + segments : -last[26 + segments]]
    )

    with pytest.raises(InvalidAudioError, match="middle of a page"):
        decode(b"".join(pages[: len(pages) // 2]) + without_one)


@pytest.mark.parametrize("end", [b"", b"\0\0\0\x0cfreeabcd", bytes(1000), b"\0\0\0"])
def test_a_live_mp4_may_end_after_any_fragment(end: bytes) -> None:
    whole = mux("mp4", "aac", noise(240_000), 48_000, options=FRAGMENTS, seekable=False)
    half = whole.index(b"moof", len(whole) // 2) - 4

    assert len(decode(whole[:half] + end)) / RATE_HZ == pytest.approx(2.5, abs=0.6)


def test_a_caf_that_was_streamed_needs_no_size() -> None:
    assert len(decode(mux("caf", "pcm_s16le", noise(80_000), RATE_HZ, seekable=False))) == 80_000


def test_an_mp3_that_was_cut_between_two_frames_is_refused_by_its_header() -> None:
    whole = mux("mp3", "libmp3lame", noise(220_500), 44_100)
    with av.open(io.BytesIO(whole)) as container:
        position = next(packet.pos for packet in container.demux(audio=0) if packet.pts and packet.pos > len(whole) / 2)

    with pytest.raises(InvalidAudioError, match=r"declares 5\.\d s"):
        decode(whole[:position])


@pytest.mark.parametrize(
    "declared", [0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFF000]
)
def test_a_streamed_wav_may_leave_its_size_open(declared: int) -> None:
    data = wav((tone(2, RATE_HZ) * 32767).astype("<i2").tobytes(), declared=declared)

    assert len(decode(data)) == 2 * RATE_HZ


@pytest.mark.parametrize(("lacking", "refused"), [(0.4, False), (0.6, True)])
def test_a_short_file_may_lack_half_a_second(lacking: float, refused: bool) -> None:
    samples = (tone(5, RATE_HZ) * 32767).astype("<i2")
    data = wav(samples[: -int(lacking * RATE_HZ)].tobytes(), declared=samples.nbytes)

    if refused:
        with pytest.raises(InvalidAudioError, match=r"declares 5\.0 s of audio and ends after 4\.4 s"):
            decode(data)
    else:
        assert len(decode(data)) / RATE_HZ == pytest.approx(4.6)


@pytest.mark.parametrize(("lacking", "refused"), [(0.9, False), (1.3, True)])
def test_a_long_file_may_lack_a_fiftieth(lacking: float, refused: bool) -> None:
    samples = (tone(50, RATE_HZ) * 32767).astype("<i2")
    data = wav(samples[: -int(lacking * RATE_HZ)].tobytes(), declared=samples.nbytes)

    if refused:
        with pytest.raises(InvalidAudioError, match="cut off"):
            decode(data)
    else:
        assert len(decode(data)) / RATE_HZ == pytest.approx(50 - lacking)


ID3V1 = b"TAG" + b"Title".ljust(125, b"\0")
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + bytes([32, 0, 0, 0, 1, 0, 0, 0]) + bytes(12)


@pytest.mark.parametrize("options", [NO_XING, {"id3v2_version": "3"}, {"write_id3v1": "1"}])
@pytest.mark.parametrize("tail", [b"", ID3V1, APE + bytes(100) + APE, APE + APE + ID3V1, bytes(500)])
def test_an_mp3_may_carry_tags(options: dict[str, str], tail: bytes) -> None:
    data = mux("mp3", "libmp3lame", tone(3, 44_100), 44_100, options=options) + tail

    assert len(decode(data)) / RATE_HZ == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    ("container", "codec"), [("ogg", "libopus"), ("webm", "libopus"), ("matroska", "aac"), ("flac", "flac")]
)
def test_a_stream_needs_no_duration(container: str, codec: str) -> None:
    data = mux(container, codec, tone(3, 48_000), 48_000, seekable=False)

    assert len(decode(data)) / RATE_HZ == pytest.approx(3, abs=0.06)


def test_a_recording_that_was_interrupted_needs_no_end() -> None:
    data = mux("webm", "libopus", noise(144_000), 48_000, seekable=False)

    assert len(decode(data[: len(data) // 2])) / RATE_HZ == pytest.approx(1.5, abs=0.2)


@pytest.mark.parametrize("kind", ["mp3 with a Xing header", "mp3 without", "flac", "aac", "mp4, index at the end"])
@pytest.mark.parametrize("share", [0.02, 0.2])
def test_corrupt_frames_in_the_middle_are_passed_over(kind: str, share: float, tmp_path: Path) -> None:
    data = bytearray(TRUNCATED[kind](tmp_path))
    middle, count = len(data) // 3, int(share * len(data))
    data[middle : middle + count] = np.random.default_rng(0).bytes(count)

    assert len(decode(bytes(data))) / RATE_HZ > 5 * (1 - share) - 0.8
