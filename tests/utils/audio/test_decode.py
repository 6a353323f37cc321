import io
import tempfile
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.audio.helpers import (
    NO_XING,
    RATE_HZ,
    chirp,
    decode,
    lag_samples,
    level_db,
    mux,
    needs_proc,
    noise,
    open_files,
    resident_bytes,
    tone,
    wav,
)
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import BLOCK_S, decode_audio
from voice_stack.utils.audio.encode import AUDIO_FORMATS, AudioEncoder

# Container, codec and rate in Hz.
LOSSLESS = [
    ("wav", "pcm_u8", 16_000),
    ("wav", "pcm_s16le", 44_100),
    ("wav", "pcm_s24le", 48_000),
    ("wav", "pcm_s32le", 96_000),
    ("wav", "pcm_f32le", 8_000),
    ("wav", "pcm_f64le", 11_025),
    ("wav", "pcm_mulaw", 8_000),
    ("flac", "flac", 22_050),
    ("matroska", "flac", 48_000),
    ("aiff", "pcm_s16be", 44_100),
    ("caf", "pcm_s24le", 44_100),
    ("ipod", "alac", 44_100),
    ("ogg", "flac", 44_100),
    ("mp4", "flac", 48_000),
]
LOSSY = [
    ("mp3", "libmp3lame", 44_100),
    ("mp4", "aac", 48_000),
    ("ipod", "aac", 44_100),
    ("adts", "aac", 44_100),
    ("ogg", "libopus", 48_000),
    ("opus", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("matroska", "libmp3lame", 44_100),
    ("matroska", "ac3", 48_000),
    ("mpegts", "aac", 48_000),
]


@pytest.mark.parametrize(("container", "codec", "rate_hz"), LOSSLESS)
def test_lossless_audio_decodes_to_its_exact_length_and_shape(container: str, codec: str, rate_hz: int) -> None:
    decoded = decode(mux(container, codec, tone(3.21, rate_hz), rate_hz))

    expected = tone(3.21, RATE_HZ)
    assert abs(len(decoded) - len(expected)) <= 0.001 * RATE_HZ
    inner = slice(RATE_HZ // 4, len(expected) - RATE_HZ // 4)
    assert level_db(decoded[inner] - expected[inner], expected[inner]) < -30


@pytest.mark.parametrize(("container", "codec", "rate_hz"), LOSSY)
def test_lossy_audio_decodes_to_its_length_and_place(container: str, codec: str, rate_hz: int) -> None:
    decoded = decode(mux(container, codec, chirp(3 * rate_hz, rate_hz), rate_hz))

    assert len(decoded) / RATE_HZ == pytest.approx(3, abs=0.06)
    assert abs(lag_samples(decoded, chirp(3 * RATE_HZ, RATE_HZ))) / RATE_HZ < 0.03


def test_what_a_decoder_holds_back_comes_at_the_end() -> None:
    assert len(decode(mux("asf", "wmav2", tone(3, 44_100), 44_100))) / RATE_HZ == pytest.approx(3, abs=0.04)


@pytest.mark.parametrize("audio_format", [name for name in AUDIO_FORMATS if name != "pcm"])
def test_what_the_encoder_streams_is_complete(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, 24_000)

    decoded = decode(encoder.encode(chirp(72_000, 24_000)) + encoder.flush())

    assert len(decoded) / RATE_HZ == pytest.approx(3, abs=0.06)


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 60_000), rate_hz=st.sampled_from([8_000, 22_050, 44_100, 48_000]))
def test_no_sample_is_lost_at_the_end(count: int, rate_hz: int) -> None:
    samples = noise(count)
    if count * RATE_HZ / rate_hz < 0.5:
        return

    decoded = decode(mux("wav", "pcm_s16le", samples, rate_hz))

    assert abs(len(decoded) - count * RATE_HZ / rate_hz) <= 1


def test_blocks_are_twenty_seconds_and_the_last_is_the_rest() -> None:
    source = io.BytesIO(mux("wav", "pcm_s16le", tone(2 * BLOCK_S + 1.5, RATE_HZ), RATE_HZ))

    assert [len(block) / RATE_HZ for block in decode_audio(source)] == [BLOCK_S, BLOCK_S, 1.5]


def test_the_asked_rate_is_what_comes_out() -> None:
    assert len(decode(mux("wav", "pcm_s16le", tone(2, RATE_HZ), RATE_HZ), 24_000)) == 48_000


def test_a_temporary_file_is_read_from_its_start_and_stays_open() -> None:
    with tempfile.TemporaryFile() as source:
        source.write(mux("wav", "pcm_s16le", tone(2, RATE_HZ), RATE_HZ))
        assert len(decode(source)) == 2 * RATE_HZ
        assert not source.closed


def test_ogg_vorbis_is_decoded() -> None:
    samples = np.tile(chirp(3 * 44_100, 44_100), (2, 1))

    decoded = decode(mux("ogg", "vorbis", samples, 44_100, layout="stereo"))

    assert len(decoded) / RATE_HZ == pytest.approx(3, abs=0.06)
    assert abs(lag_samples(decoded, chirp(3 * RATE_HZ, RATE_HZ))) / RATE_HZ < 0.03


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (3, "2.1"), (6, "5.1")])
@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("wav", "pcm_s16le"), ("wav", "pcm_f32le")])
def test_channels_are_mixed_down_without_clipping(container: str, codec: str, channels: int, layout: str) -> None:
    samples = np.tile(tone(1, RATE_HZ, amplitude=0.9), (channels, 1))

    decoded = decode(mux(container, codec, samples, RATE_HZ, layout=layout))

    assert np.abs(decoded).max() == pytest.approx(0.9, abs=0.1)
    assert abs(lag_samples(decoded, samples[0])) <= 1


@pytest.mark.parametrize("channels", [2, 3, 8, 9, 20])
def test_a_file_that_does_not_name_its_channels_is_mixed_down_too(channels: int) -> None:
    samples = np.tile(tone(1, RATE_HZ), (channels, 1)).T
    data = wav((samples * 32767).astype("<i2").tobytes(), channels=channels)

    decoded = decode(data)

    assert len(decoded) == RATE_HZ
    assert level_db(decoded, tone(1, RATE_HZ)) == pytest.approx(0, abs=0.1)


def test_one_voice_in_one_of_two_channels_is_heard() -> None:
    samples = np.stack([tone(1, RATE_HZ), np.zeros(RATE_HZ, np.float32)])

    assert np.abs(decode(mux("wav", "pcm_s16le", samples, RATE_HZ, layout="stereo"))).max() > 0.2


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov", "avi", "mpegts", "asf"])
def test_video_is_passed_over(container: str) -> None:
    codec = {"avi": "libmp3lame", "asf": "wmav2"}.get(container, "aac")
    decoded = decode(mux(container, codec, tone(3, 44_100), 44_100, video=True))

    assert len(decoded) / RATE_HZ == pytest.approx(3, abs=0.06)


def test_audio_may_end_before_the_film_does() -> None:
    data = mux("matroska", "aac", tone(0.2, 48_000), 48_000, video=True)

    assert len(decode(data)) / RATE_HZ == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_of_several_tracks_the_default_or_first_is_taken(container: str) -> None:
    decoded = decode(mux(container, "aac", tone(1, 48_000), 48_000, tracks=3))

    assert np.abs(decoded).max() > 0.4


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("sounding", [1, 2])
def test_the_default_track_of_a_film_is_taken_wherever_it_stands(container: str, sounding: int) -> None:
    options = {"default_mode": "passthrough"} if container == "matroska" else {}
    film = mux(container, "aac", tone(1, 48_000), 48_000, tracks=3, sounding=sounding, video=True, options=options)

    assert np.abs(decode(film)).max() > 0.4


def test_rate_and_channels_may_change_in_mid_stream() -> None:
    first = mux("mp3", "libmp3lame", tone(1, 24_000), 24_000)
    second = mux("mp3", "libmp3lame", np.tile(tone(2, 44_100), (2, 1)), 44_100, layout="stereo")

    assert len(decode(first + second)) / RATE_HZ == pytest.approx(3, abs=0.15)


def test_floats_out_of_range_are_clipped_and_nan_is_silence() -> None:
    samples = np.full(RATE_HZ, 8.0, np.float32)
    samples[4_000:4_100] = np.nan

    decoded = decode(wav(samples.tobytes(), format_tag=3, bytes_per_sample=4))

    assert len(decoded) == RATE_HZ
    assert decoded.max() == 1.0
    assert not decoded[4_010:4_090].any()


def test_tags_that_are_not_utf8_do_not_matter() -> None:
    title = b"TIT2" + (6).to_bytes(4, "big") + b"\0\0" + b"\3\xff\xfe\xe9\xe8\xff"
    tag = b"ID3\3\0\0" + bytes((0, 0, 0, len(title))) + title

    assert len(decode(tag + mux("mp3", "libmp3lame", tone(2, 44_100), 44_100, options=NO_XING))) > RATE_HZ


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("speech.wav", b"RIFF" * 1000)
    return buffer.getvalue()


def _only_video() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"Dear Sir or Madam,\nplease transcribe this.\n" * 200, "format"),
        (_zip(), "format"),
        (bytes(100_000), "format"),
        (b"\0", "format"),
        (b"1\n00:00:01,000 --> 00:00:04,000\nHello\n\n", "no audio"),
        (_only_video(), "no audio"),
        (wav(b""), "no sound"),
        (wav(bytes(32_000), rate_hz=1), "1 Hz"),
        (wav(bytes(32_000), rate_hz=2_000_000_000), "2000000000 Hz"),
    ],
    ids=["empty", "text", "zip", "zeros", "byte", "subtitles", "video", "no-samples", "1Hz", "2GHz"],
)
def test_what_holds_no_audio_is_refused_and_told_why(data: bytes, says: str) -> None:
    with pytest.raises(InvalidAudioError, match=says) as refused:
        decode(data)

    assert refused.value.param == "file"


def test_random_bytes_are_refused() -> None:
    random = np.random.default_rng(1)
    for _ in range(30):
        with pytest.raises(InvalidAudioError):
            decode(random.bytes(int(random.integers(1, 100_000))))


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile secret.ts\n",
        "ffconcat version 1.0\nfile '{folder}/secret.ts'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile://{folder}/secret.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_no_other_file_is_read_for_an_upload(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.ts").write_bytes(mux("mpegts", "aac", tone(1, 48_000), 48_000))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidAudioError):
        decode(script.format(folder=tmp_path).encode())


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*LOSSLESS, *LOSSY]), st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=8)))
)
def test_a_hostile_header_raises_nothing_but_invalid_audio(
    kind: tuple[str, str, int], changes: list[tuple[int, bytes]]
) -> None:
    container, codec, rate_hz = kind
    data = bytearray(mux(container, codec, tone(0.3, rate_hz), rate_hz))
    for position, change in changes:
        data[position : position + len(change)] = change

    try:
        samples = sum(map(len, decode_audio(io.BytesIO(data))))
    except InvalidAudioError:
        return
    assert samples > 0


def test_an_error_of_the_consumer_is_not_taken_for_one_of_the_file() -> None:
    blocks = decode_audio(io.BytesIO(mux("wav", "pcm_s16le", tone(BLOCK_S + 1, RATE_HZ), RATE_HZ)))
    next(blocks)

    with pytest.raises(ValueError, match="of the consumer"):
        blocks.throw(ValueError("of the consumer"))


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(mux("mp3", "libmp3lame", noise(100_000), 44_100))
    data[5_000:9_000] = np.random.default_rng(0).bytes(4_000)
    decode(bytes(data))

    assert capfd.readouterr() == ("", "")


@needs_proc
@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("matroska", "flac"), ("wav", "pcm_s16le")])
def test_abandoned_decodes_leave_nothing_behind(container: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "audio"
    path.write_bytes(mux(container, codec, tone(BLOCK_S + 1, 8_000), 8_000))

    def abandon(times: int) -> None:
        for _ in range(times):
            with path.open("rb") as source:
                blocks = decode_audio(source)
                next(blocks)
                blocks.close()

    abandon(5)
    memory, files = resident_bytes(), open_files()
    abandon(50)

    assert resident_bytes() - memory < 4_000_000
    assert open_files() == files


@needs_proc
def test_memory_does_not_grow_with_the_files_length(tmp_path: Path) -> None:
    path = tmp_path / "long.mp3"
    path.write_bytes(mux("mp3", "libmp3lame", tone(300, 8_000), 8_000))

    with path.open("rb") as source:
        blocks = decode_audio(source)
        next(blocks)
        memory = resident_bytes()
        peak = max(resident_bytes() for _ in blocks)

    assert peak - memory < 12_000_000
