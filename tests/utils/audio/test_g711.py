"""G.711 against FFmpeg's own decoders."""

from collections.abc import Callable

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.utils.audio.g711 import decode_alaw, decode_ulaw

EVERY_CODE = bytes(range(256))


@pytest.mark.parametrize(("codec", "decode"), [("pcm_mulaw", decode_ulaw), ("pcm_alaw", decode_alaw)])
def test_every_code_is_what_ffmpeg_makes_of_it(codec: str, decode: Callable[[bytes], NDArray[np.float32]]) -> None:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout, decoder.format = 8000, "mono", "s16"
    (frame,) = decoder.decode(av.Packet(EVERY_CODE))
    samples = decode(EVERY_CODE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, frame.to_ndarray()[0])


def test_the_standard_s_silence_and_full_scale() -> None:
    np.testing.assert_array_equal(decode_ulaw(b"\xff\x7f\x80\x00") * 32768, [0, 0, 32124, -32124])
    np.testing.assert_array_equal(decode_alaw(b"\xd5\x55\xaa\x2a") * 32768, [8, -8, 32256, -32256])
