"""The audio formats that speech is sent in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from voice_stack.core.errors import InvalidRequestError


@dataclass(frozen=True)
class AudioFormat:
    """One value of ``response_format``."""

    name: str
    media_type: str
    extension: str  # without a dot
    codec: str = ""  # FFmpeg's encoder; empty: the samples go out as s16le
    muxer: str = ""  # FFmpeg's muxer
    sample_format: str = ""  # what the encoder takes
    rates_hz: tuple[int, ...] = ()  # rates the codec takes as they are; empty: any
    bit_rate: int | None = None  # bits per second
    options: Mapping[str, str] = field(default_factory=dict)  # the muxer's
    codec_options: Mapping[str, str] = field(default_factory=dict)
    priming_samples: int = 0  # what the first frames hold beside the signal; 0: the container says how much to drop
    settling_samples: int = 0  # how far into the signal decoders feel the loss of these frames


AUDIO_FORMATS: Mapping[str, AudioFormat] = MappingProxyType(
    {
        audio_format.name: audio_format
        for audio_format in (
            AudioFormat(
                name="mp3",
                media_type="audio/mpeg",
                extension="mp3",
                codec="libmp3lame",
                muxer="mp3",
                sample_format="fltp",
                # The others have frames of 36 ms.
                rates_hz=(22_050, 24_000, 44_100, 48_000),
                bit_rate=96_000,
                options={"write_xing": "0", "id3v2_version": "0"},
                # Each frame stands for itself, so that the first ones can be left out. At level 7 LAME takes two thirds
                # of the time that it takes at its default, 5, and speech comes out as near to the samples.
                codec_options={"reservoir": "0", "compression_level": "7"},
                priming_samples=1152,
                settling_samples=800,
            ),
            AudioFormat(
                name="opus",
                media_type="audio/ogg",
                extension="ogg",
                codec="libopus",
                muxer="ogg",
                sample_format="flt",
                rates_hz=(8_000, 12_000, 16_000, 24_000, 48_000),
                bit_rate=64_000,
                # In microseconds. The muxer holds one page back, so a client is at most two pages behind.
                options={"page_duration": "100000"},
                # Half the time of the default, 10.
                codec_options={"compression_level": "5"},
            ),
            AudioFormat(
                name="aac",
                media_type="audio/aac",
                extension="aac",
                codec="aac",
                muxer="adts",
                sample_format="fltp",
                # Of the rates that every player takes, the one with the shortest frames: ADTS cannot say how many
                # of their samples are priming or padding.
                rates_hz=(48_000,),
                bit_rate=112_000,
                # Half the time of the default, and at this bit rate nearer to the samples.
                codec_options={"aac_coder": "fast"},
                priming_samples=1024,
                settling_samples=1024,
            ),
            AudioFormat(
                name="flac",
                media_type="audio/flac",
                extension="flac",
                codec="flac",
                muxer="flac",
                sample_format="s16",
                # Without it 8 KiB of padding come before the first sample.
                options={"metadata_header_padding": "0"},
            ),
            AudioFormat(name="wav", media_type="audio/wav", extension="wav"),
            AudioFormat(name="pcm", media_type="audio/pcm", extension="pcm"),
        )
    }
)


def find_audio_format(name: str) -> AudioFormat:
    """Return the format of that name. Raises ``InvalidRequestError`` where there is none."""
    try:
        return AUDIO_FORMATS[name]
    except KeyError:
        raise InvalidRequestError(
            f"The response format {name!r} is not known. Use one of: {', '.join(AUDIO_FORMATS)}.",
            param="response_format",
        ) from None
