"""Which microphone and which loudspeaker are meant, and how they are used."""

import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sound_card import SoundCard, Stream
from voice_stack.asr.listen.microphone import Microphone
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.tts.batch.loudspeaker import MOST_WAITING_S, Loudspeaker
from voice_stack.utils.audio.devices import describe_devices, find_device

DEVICES = (("USB Headset: Mic", 1, 0), ("USB Headset: Ear", 0, 2), ("USB Headset 2: Mic", 2, 0), ("Built-in", 2, 2))

Plug = Callable[..., SoundCard]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    def plug(*devices: tuple[str, int, int], **options: tuple[int, ...]) -> SoundCard:
        card = SoundCard(*devices, **options)
        monkeypatch.setitem(sys.modules, "sounddevice", card)
        return card

    return plug


def test_a_device_is_the_default_one_or_that_of_a_number_or_of_words_of_its_name(plug: Plug) -> None:
    plug(*DEVICES)
    assert find_device("input").name == "Built-in"
    assert find_device("input", "0").name == "USB Headset: Mic"
    assert find_device("input", "headset 2").name == "USB Headset 2: Mic"
    assert find_device("input", "USB Headset: Mic").number == 0
    assert find_device("output", "usb").number == 1
    assert describe_devices("input").splitlines() == [
        "    0  USB Headset: Mic (1 channel, 48000 Hz)",
        "    2  USB Headset 2: Mic (2 channels, 48000 Hz)",
        "*   3  Built-in (2 channels, 48000 Hz)",
    ]


def test_a_device_that_is_not_there_or_not_the_only_one_is_an_error_that_names_them(plug: Plug) -> None:
    plug(*DEVICES)
    with pytest.raises(ConfigurationError, match=r"'usb mic' names more than one: 0: .*; 2: USB Headset 2: Mic$"):
        find_device("input", "usb mic")
    with pytest.raises(ConfigurationError, match=r"'1' is no microphone here: 0: .*; 2: .*; 3: Built-in"):
        find_device("input", "1")
    plug(("Ear", 0, 2))
    for look in (find_device, describe_devices):
        with pytest.raises(ConfigurationError, match="no microphone on this machine"):
            look("input")


def test_what_a_microphone_records_comes_in_blocks_until_it_is_stopped(plug: Plug) -> None:
    card = plug(*DEVICES)
    microphone = Microphone("0")
    blocks = microphone.blocks()
    (stream,) = card.streams
    assert (stream.device, stream.rate_hz, stream.channels) == (0, 16_000, 1)
    assert not stream.active

    def speak() -> None:
        assert stream.started.wait(5)
        for value in (1000, 2000):
            stream.callback(np.full(800, value, np.int16).tobytes(), 800, None, None)
        microphone.stop()

    speaking = threading.Thread(target=speak)
    speaking.start()
    heard = np.concatenate(list(blocks))
    speaking.join()
    assert np.array_equal(heard, np.repeat([1000, 2000], 800).astype(np.float32) / 32_768)


def test_a_microphone_with_a_rate_and_channels_of_its_own_is_made_mono_of_16_khz(plug: Plug) -> None:
    card = plug(*DEVICES, rates_hz=(48_000,))
    microphone = Microphone()
    (stream,) = card.streams
    assert (stream.rate_hz, stream.channels) == (48_000, 2)
    stream.start()
    stream.callback(np.tile(np.array([1000, 3000], np.int16), 4800).tobytes(), 4800, None, None)
    stream.stop()
    heard: list[NDArray[np.float32]] = []
    with pytest.raises(VoiceStackError, match="may have been unplugged"):
        heard.extend(microphone.blocks())
    assert np.concatenate(heard).size == 1600
    assert np.concatenate(heard)[200:-200] == pytest.approx(2000 / 32_768, rel=0.01)


def test_a_loudspeaker_plays_what_is_written_and_silence_between(plug: Plug) -> None:
    card = plug(*DEVICES)
    speaker = Loudspeaker(24_000)
    (stream,) = card.streams
    assert (stream.device, stream.rate_hz, speaker.rate_hz) == (3, 24_000, 24_000)
    with speaker.opened():
        assert stream.active
        speaker.write(b"\1\2\3\4")
        speaker.write(b"\5\6")
        assert played(stream, 2) == b"\1\2"
        assert played(stream, 6) == b"\3\4\5\6\0\0"
        assert played(stream, 2) == b"\0\0"
    assert not stream.active


def test_writing_waits_while_there_is_much_to_play_and_the_end_until_all_is_played(plug: Plug) -> None:
    card = plug(*DEVICES, rates_hz=(8000,))
    speaker = Loudspeaker(24_000)
    (stream,) = card.streams
    assert speaker.rate_hz == 8000
    most_bytes = round(MOST_WAITING_S * 8000) * 2
    over = threading.Event()

    def play() -> None:
        while not over.wait(0.001):
            played(stream, 8000)

    playing = threading.Thread(target=play)
    later = threading.Timer(0.1, playing.start)
    with speaker.opened():
        speaker.write(bytes(most_bytes + 2))
        later.start()
        speaker.write(b"\1\2")
        assert playing.is_alive()
    over.set()
    playing.join()
    assert not speaker._waiting


def test_a_loudspeaker_that_is_unplugged_is_an_error_and_an_error_silences_it(plug: Plug) -> None:
    card = plug(*DEVICES)
    speaker = Loudspeaker(24_000)
    with pytest.raises(VoiceStackError, match="may have been unplugged"), speaker.opened():
        speaker.write(b"\1\2")
        card.streams[0].started.clear()
    speaker = Loudspeaker(24_000)
    with pytest.raises(KeyError), speaker.opened():
        speaker.write(b"\1\2")
        raise KeyError
    assert not card.streams[1].active


def played(stream: Stream, count: int) -> bytes:
    target = bytearray(b"\xff" * count)
    stream.callback(target, count // 2, None, None)
    return bytes(target)
