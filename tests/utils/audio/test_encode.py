import io
import wave
from collections.abc import Iterable

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.audio.helpers import (
    Samples,
    chirp,
    decode_plainly,
    lag_samples,
    level_db,
    needs_proc,
    noise,
    open_files,
    resident_bytes,
    tone,
)
from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.utils.audio.encode import AUDIO_FORMATS, QUIET, AudioEncoder
from voice_stack.utils.audio.resample import Resampler

RATE_HZ = 24_000
FORMATS = list(AUDIO_FORMATS)


def encode(audio_format: str, samples: Samples, cuts: Iterable[int] = (), rate_hz: int = RATE_HZ) -> list[bytes]:
    encoder = AudioEncoder(audio_format, rate_hz)
    return [*(encoder.encode(piece) for piece in np.split(samples, list(cuts))), encoder.flush()]


def decode(audio_format: str, data: bytes) -> tuple[Samples, int]:
    if audio_format == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768), RATE_HZ
    return decode_plainly(data)


def at_rate(samples: Samples, rate_hz: int) -> Samples:
    resampler = Resampler(RATE_HZ, rate_hz)
    return np.concatenate([resampler.process(samples), resampler.flush()])


def speechlike(count: int, rate_hz: int = RATE_HZ) -> Samples:
    """A sweep that begins and ends as speech does: 40 ms of near silence before it and 10 ms after it."""
    samples = chirp(count, rate_hz)
    begin, end = round(0.04 * rate_hz), round(0.01 * rate_hz)
    samples[:begin] *= QUIET
    samples[max(0, count - end) :] *= QUIET
    return samples


@pytest.mark.parametrize("audio_format", FORMATS)
@settings(deadline=None, max_examples=25)
@given(count=st.one_of(st.integers(RATE_HZ // 100, 6_000), st.integers(RATE_HZ // 100, 5 * RATE_HZ)))
def test_speech_decodes_to_its_length_within_20_ms(audio_format: str, count: int) -> None:
    decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, speechlike(count))))

    assert abs(len(decoded) / rate_hz - count / RATE_HZ) < 0.02


@pytest.mark.parametrize("audio_format", ["mp3", "aac"])
def test_every_length_of_a_frame_decodes_within_20_ms(audio_format: str) -> None:
    for count in range(12_000, 12_600, 19):
        decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, speechlike(count))))

        assert abs(len(decoded) / rate_hz - count / RATE_HZ) < 0.02


@pytest.mark.parametrize(
    ("audio_format", "most_excess_s"),
    [("mp3", 0.027), ("opus", 0.001), ("aac", 0.043), ("flac", 0.001), ("wav", 0.001), ("pcm", 0.001)],
)
@settings(deadline=None, max_examples=15)
@given(count=st.one_of(st.integers(1, 3_000), st.integers(1, 3 * RATE_HZ)))
def test_what_begins_and_ends_loudly_is_never_shortened(audio_format: str, most_excess_s: float, count: int) -> None:
    decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, chirp(count, RATE_HZ))))

    assert -0.001 < len(decoded) / rate_hz - count / RATE_HZ < most_excess_s


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("audio_format", [name for name in FORMATS if name != "pcm"])
def test_other_rates_keep_their_length_too(audio_format: str, rate_hz: int) -> None:
    data = b"".join(encode(audio_format, speechlike(rate_hz + 77, rate_hz), rate_hz=rate_hz))

    decoded, decoded_hz = decode_plainly(data)

    assert len(decoded) / decoded_hz == pytest.approx((rate_hz + 77) / rate_hz, abs=0.02)


@pytest.mark.parametrize("audio_format", ["mp3", "aac"])
def test_what_sets_in_after_a_quiet_start_is_heard_as_with_the_first_frames(audio_format: str) -> None:
    sweep = chirp(RATE_HZ, RATE_HZ)
    silence = np.zeros(round(0.04 * RATE_HZ), np.float32)

    decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, np.concatenate([silence, sweep]))))

    lag = lag_samples(decoded, at_rate(sweep, rate_hz))
    assert lag / rate_hz == pytest.approx(0.04, abs=0.0025)
    error = decoded[lag : lag + rate_hz // 10] - at_rate(sweep, rate_hz)[: rate_hz // 10]
    assert level_db(error, sweep) < -22


@pytest.mark.parametrize("audio_format", FORMATS)
@settings(deadline=None, max_examples=12)
@given(count=st.integers(1, 30_000), cuts=st.lists(st.integers(0, 30_000)), single_samples=st.integers(0, 300))
def test_pieces_of_any_size_give_the_bytes_of_one_piece(
    audio_format: str, count: int, cuts: list[int], single_samples: int
) -> None:
    samples = noise(count)
    begin = min(single_samples, count)
    pieces = [*range(begin), *sorted(cut for cut in cuts if begin <= cut < count)]

    assert b"".join(encode(audio_format, samples, pieces)) == b"".join(encode(audio_format, samples))


@pytest.mark.parametrize(
    ("audio_format", "most_lag_s"),
    [("mp3", 0.0), ("opus", 0.0), ("aac", 0.022), ("flac", 0.0), ("wav", 0.0), ("pcm", 0.0)],
)
def test_the_signal_stays_in_its_place(audio_format: str, most_lag_s: float) -> None:
    sweep = chirp(2 * RATE_HZ, RATE_HZ)

    decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, sweep)))

    lag = lag_samples(decoded, at_rate(sweep, rate_hz))
    assert 0 <= lag / rate_hz <= most_lag_s


@pytest.mark.parametrize(
    ("audio_format", "most_error_db"),
    [("mp3", -25), ("opus", -15), ("aac", -25), ("flac", -80), ("wav", -80), ("pcm", -80)],
)
def test_the_signal_stays_what_it_was_up_to_its_last_sample(audio_format: str, most_error_db: float) -> None:
    sweep = chirp(2 * RATE_HZ + 411, RATE_HZ)

    decoded, rate_hz = decode(audio_format, b"".join(encode(audio_format, sweep)))

    expected = at_rate(sweep, rate_hz)
    begin = lag_samples(decoded, expected)
    error = decoded[begin : begin + len(expected)] - expected
    assert len(error) == len(expected)
    assert level_db(error, expected) < most_error_db
    ending = slice(-rate_hz // 10, None)
    assert level_db(error[ending], expected[ending]) < most_error_db / 2


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_first_half_second_gives_audio_at_once(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, RATE_HZ)

    first = encoder.encode(tone(0.5, RATE_HZ))
    encoder.close()

    decoded, rate_hz = decode(audio_format, first)
    assert len(decoded) / rate_hz > 0.25
    assert np.abs(decoded).max() > 0.3


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_listener_is_never_far_behind(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, RATE_HZ)
    sent = b""
    for second in range(1, 5):
        sent += encoder.encode(noise(RATE_HZ, seed=second))
        decoded, rate_hz = decode(audio_format, sent)
        assert len(decoded) / rate_hz > second - 0.25
    encoder.close()


@pytest.mark.parametrize("audio_format", ["mp3", "aac"])
def test_a_clip_of_a_few_milliseconds_is_not_taken_for_another_format(audio_format: str) -> None:
    for number, count in enumerate([*range(1, 300, 6), *range(300, 6_000, 97)]):
        samples = speechlike(count) if number % 2 else noise(count, seed=count, amplitude=0.5)
        with av.open(io.BytesIO(b"".join(encode(audio_format, samples)))) as clip:
            assert clip.format.name == audio_format


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_stream_wastes_no_time_on_headers(audio_format: str) -> None:
    assert len(b"".join(encode(audio_format, np.zeros(0, np.float32)))) < 500


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_once_sent_are_the_beginning_of_the_whole(audio_format: str) -> None:
    samples = noise(RATE_HZ)

    shorter = b"".join(encode(audio_format, samples[:12_000], [4_000])[:-1])

    assert b"".join(encode(audio_format, samples)).startswith(shorter)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_stream_without_samples_ends_without_an_error(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, RATE_HZ)

    assert encoder.encode(np.zeros(0, np.float32)) + encoder.flush() == b"".join(
        encode(audio_format, np.zeros(0, np.float32))
    )


@pytest.mark.parametrize("audio_format", FORMATS)
def test_samples_out_of_range_are_clipped_and_nan_is_silence(audio_format: str) -> None:
    samples = tone(0.5, RATE_HZ, amplitude=5)
    samples[3_000:6_000] = np.nan
    samples[6_000:6_010] = np.inf

    decoded, _ = decode(audio_format, b"".join(encode(audio_format, samples)))

    assert np.all(np.isfinite(decoded))
    assert np.abs(decoded).max() < 2


def test_pcm_is_bare_little_endian_int16() -> None:
    assert encode("pcm", np.array([0, 1, -1], np.float32)) == [b"\x00\x00\xff\x7f\x01\x80", b""]


def test_wav_is_read_by_pythons_own_wave_module() -> None:
    with wave.open(io.BytesIO(b"".join(encode("wav", tone(1, RATE_HZ)))), "rb") as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (RATE_HZ, 1, 2)
        assert len(reader.readframes(reader.getnframes())) == 2 * RATE_HZ


@pytest.mark.parametrize(
    ("audio_format", "codec", "container"),
    [
        ("mp3", "mp3float", "mp3"),
        ("opus", "opus", "ogg"),
        ("aac", "aac", "aac"),
        ("flac", "flac", "flac"),
        ("wav", "pcm_s16le", "wav"),
    ],
)
def test_a_format_is_what_its_name_says(audio_format: str, codec: str, container: str) -> None:
    with av.open(io.BytesIO(b"".join(encode(audio_format, tone(1, RATE_HZ))))) as opened:
        assert opened.format.name == container
        assert opened.streams.audio[0].codec_context.name == codec
        assert opened.streams.audio[0].codec_context.layout.nb_channels == 1


def test_opus_pages_form_one_ended_stream() -> None:
    data = b"".join(encode("opus", tone(1, RATE_HZ)))

    flags = [page[1] for page in data.split(b"OggS")[1:]]

    assert flags[0] & 2
    assert [bool(flag & 4) for flag in flags] == [False] * (len(flags) - 1) + [True]


def test_an_unknown_format_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidRequestError, match="mp3, opus, aac, flac, wav, pcm") as refused:
        AudioEncoder("midi", RATE_HZ)

    assert refused.value.param == "response_format"


def test_a_rate_that_no_encoder_can_take_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="flac"):
        AudioEncoder("flac", 10_000_000)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_an_encoder_may_be_closed_at_any_time_and_twice(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, RATE_HZ)
    encoder.encode(tone(0.1, RATE_HZ))

    encoder.close()
    encoder.close()

    assert encoder.flush() == b""
    with pytest.raises(EngineError, match="ended"):
        encoder.encode(tone(0.1, RATE_HZ))


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_flushed_encoder_has_no_more_to_give(audio_format: str) -> None:
    encoder = AudioEncoder(audio_format, RATE_HZ)
    encoder.encode(tone(0.1, RATE_HZ))
    encoder.flush()

    assert encoder.flush() == b""
    encoder.close()


@needs_proc
@pytest.mark.parametrize("audio_format", FORMATS)
def test_closed_and_flushed_encoders_leave_nothing_behind(audio_format: str) -> None:
    def use(times: int) -> None:
        for number in range(times):
            encoder = AudioEncoder(audio_format, 22_050)
            encoder.encode(noise(6_000))
            if number % 2:
                encoder.flush()
            encoder.close()

    use(10)
    memory, files = resident_bytes(), open_files()
    use(40)

    assert resident_bytes() - memory < 4_000_000
    assert open_files() == files
