"""Decode any file that FFmpeg's libraries read to mono float32."""

import io
import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.completeness import Completeness
from voice_stack.utils.audio.ffmpeg import AV_ERRORS, MonoFilter
from voice_stack.utils.audio.pcm import bounded
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.audio.source import UntilClosed
from voice_stack.utils.audio.timeline import Timeline

BLOCK_S = 20

# No speech fits below the first, nothing records above the second. At a declared 1 Hz a small file would become
# days of audio.
_LEAST_RATE_HZ = 1_000
_MOST_RATE_HZ = 768_000

# FLAC's largest block at the least rate.
_MOST_PACKET_S = 65.535

# A playlist or concat script may name files of this machine or addresses in its network. No protocol is called
# "none", so nothing but the source is ever opened.
_OPEN_OPTIONS = {"protocol_whitelist": "none"}


def decode_audio(
    source: BinaryIO, *, sample_rate_hz: int = 16_000, max_s: float = math.inf
) -> Generator[NDArray[np.float32], None, None]:
    """Yield the audio of a file as mono float32 samples in [-1, 1], in blocks of 20 s (the last is shorter).

    ``source`` is a seekable binary file; it is read from its start and stays open. Of several audio streams the
    default one is taken, else the first. Channels are mixed down, corrupt frames in the middle are left out.
    Time 0 is the start of the file: where the sound of a film sets in later, or has gaps, there is silence
    (``Timeline`` says when). Closing the generator releases everything.

    Raises ``InvalidAudioError`` where the file is empty, is not media, holds no audio, lasts for more than ``max_s``
    seconds, or was cut off. The last two may show only later: earlier blocks have been yielded by then.
    """
    with closing(_blocks(source, sample_rate_hz, max_s)) as blocks:
        while True:
            try:
                block = next(blocks, None)
            except AV_ERRORS as error:
                raise _invalid(
                    "The file's audio is damaged, or in a form that cannot be decoded. Convert it, to WAV say."
                ) from error
            if block is None:
                return
            yield block


def _blocks(source: BinaryIO, sample_rate_hz: int, max_s: float) -> Generator[NDArray[np.float32], None, None]:
    block_samples = BLOCK_S * sample_rate_hz
    pieces: list[NDArray[np.float32]] = []
    waiting = samples = 0
    empty = True
    with _open(source) as container:
        stream = _audio_stream(container)
        declared_s = (container.duration or 0) / av.time_base
        if declared_s > max_s and _has_packets_for(max_s, source):
            raise too_long(max_s)
        completeness = Completeness(source, container, stream)
        timeline = Timeline(container, stream, file_bytes=container.size)
        for piece in _resampled(_mono(_frames(container, stream, completeness), timeline), sample_rate_hz):
            pieces.append(piece)
            waiting += len(piece)
            samples += len(piece)
            if samples > max_s * sample_rate_hz:
                raise too_long(max_s)
            while waiting >= block_samples:
                joined = np.concatenate(pieces)
                yield bounded(joined[:block_samples])
                empty = False
                pieces = [joined[block_samples:]]
                waiting -= block_samples
        defect = completeness.defect()
        if defect is not None:
            raise _invalid(f"The file was cut off: {defect}. Send the whole file.")
        if empty and not waiting:
            raise _invalid("The file holds an audio stream, but no sound in it could be decoded. Record it again.")
        if waiting:
            yield bounded(np.concatenate(pieces))


def _open(source: BinaryIO) -> InputContainer:
    if not source.seek(0, io.SEEK_END):
        raise _invalid("The file is empty (0 bytes). Send a file that holds audio.")
    source.seek(0)
    is_mp4 = source.read(8)[4:] == b"ftyp"
    source.seek(0)
    try:
        return av.open(UntilClosed(source), "r", container_options=_OPEN_OPTIONS, metadata_errors="ignore")
    except AV_ERRORS as error:
        if is_mp4:
            raise _invalid("The MP4 file's index is missing or damaged: it was cut off. Send it whole.") from error
        raise _invalid(
            "The file is not audio or video in a format that can be read, or its beginning is damaged. "
            "Send WAV, MP3, M4A, FLAC, OGG, WebM, MKV or MP4."
        ) from error


def _audio_stream(container: InputContainer) -> AudioStream:
    streams = container.streams.audio
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"only {', '.join(kinds)}" if kinds else "no stream at all"
        raise _invalid(f"The file holds no audio ({found}). Send a file with an audio track.")
    stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise _invalid("The file's audio is in a codec that cannot be decoded. Convert it, to WAV say.")
    return stream


def _frames(container: InputContainer, stream: AudioStream, completeness: Completeness) -> Iterator[av.AudioFrame]:
    packets = container.demux(*completeness.streams)
    while True:
        try:
            packet = next(packets, None)
        except AV_ERRORS:
            # Whether that was too early is for completeness to say.
            break
        if packet is None:
            break
        # An empty packet, as demux() puts out at the end, would end the decoder for good.
        if not packet.size:
            continue
        if packet.stream.index != stream.index:
            completeness.see(packet)
            continue
        try:
            frames = stream.decode(packet)
        except AV_ERRORS:
            completeness.see(packet, corrupt=True)
            continue
        for frame in frames:
            _check_rate(frame.sample_rate)
        completeness.see(packet, decoded_s=sum(frame.samples / frame.sample_rate for frame in frames))
        yield from frames
    yield from stream.decode(None)


def _check_rate(rate_hz: int) -> None:
    if not _LEAST_RATE_HZ <= rate_hz <= _MOST_RATE_HZ:
        raise _invalid(
            f"The file declares a sample rate of {rate_hz} Hz. Send audio of "
            f"{_LEAST_RATE_HZ} to {_MOST_RATE_HZ} Hz."
        )


def _mono(frames: Iterable[av.AudioFrame], timeline: Timeline) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Mix frames down, with silence where some lack; yield their sample rate with their samples.

    Rate and channels may change on the way.
    """
    current: tuple[int, str, str] | None = None
    for frame in frames:
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if kind != current:
            mixer = _mixer(*kind, channels=frame.layout.nb_channels)
            current = kind
        if frame.samples:
            for silence in _silence(timeline.gap_s(frame), frame.sample_rate):
                yield frame.sample_rate, silence
            yield frame.sample_rate, mixer.push(frame)


def _silence(duration_s: float, sample_rate_hz: int) -> Iterator[NDArray[np.float32]]:
    lacking = round(duration_s * sample_rate_hz)
    while lacking:
        samples = min(lacking, sample_rate_hz)
        yield np.zeros(samples, np.float32)
        lacking -= samples


def _mixer(sample_rate_hz: int, sample_format: str, layout: str, *, channels: int) -> MonoFilter:
    to_float = "osf=fltp"
    # By default float output is not normalised: a voice in both channels would come out 3 dB too loud and clip.
    mix = ("aresample", f"{to_float}:ochl=mono:rematrix_maxval=1")
    mean = ("pan", "mono|c0<" + "+".join(f"c{channel}" for channel in range(channels)))
    try:
        return MonoFilter(mix, sample_rate_hz=sample_rate_hz, sample_format=sample_format, layout=layout)
    except AV_ERRORS:
        # Which channel of such a layout is where is unknown: all count the same.
        return MonoFilter(
            ("aresample", to_float),
            mean,
            sample_rate_hz=sample_rate_hz,
            sample_format=sample_format,
            layout=layout,
        )


def _resampled(pieces: Iterable[tuple[int, NDArray[np.float32]]], sample_rate_hz: int) -> Iterator[NDArray[np.float32]]:
    for from_hz, same_rate in groupby(pieces, key=itemgetter(0)):
        resampler = Resampler(from_hz, sample_rate_hz)
        for second in _joined((samples for _, samples in same_rate), at_least=from_hz):
            yield resampler.process(second)
        yield resampler.flush()


def _joined(pieces: Iterable[NDArray[np.float32]], *, at_least: int) -> Iterator[NDArray[np.float32]]:
    """Join pieces, as codecs put out 20 ms at a time and each call of the resampler costs as much again."""
    waiting: list[NDArray[np.float32]] = []
    samples = 0
    for piece in pieces:
        waiting.append(piece)
        samples += len(piece)
        if samples >= at_least:
            yield np.concatenate(waiting)
            waiting, samples = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _has_packets_for(seconds: float, source: BinaryIO) -> bool:
    """Whether a file that declares more than that holds it, too: a header may be wrong.

    To look at packets is quick, and to decode those of a small file may not be: a few bytes of FLAC can be a minute
    of silence.
    """
    position = source.tell()
    found_s = before_s = 0.0
    with suppress(*AV_ERRORS), _open(source) as container:
        for packet in container.demux(_audio_stream(container)):
            # FLAC's have a time only. One that lies must not count for more than a packet can hold.
            time_s = before_s if packet.pts is None else float(packet.pts * packet.time_base)
            duration_s = float((packet.duration or 0) * packet.time_base)
            found_s += max(duration_s, min(time_s - before_s, _MOST_PACKET_S))
            before_s = time_s
            if found_s > seconds:
                break
    source.seek(position)
    return found_s > seconds


def too_long(max_s: float) -> InvalidAudioError:
    """The error for audio of more than ``max_s`` seconds."""
    return InvalidAudioError(
        f"The audio is longer than {max_s:g} s, which is the most that this service takes (MAX_AUDIO_S). "
        "Send it in parts.",
        param="file",
        code="audio_too_long",
    )


def _invalid(message: str) -> InvalidAudioError:
    return InvalidAudioError(message, param="file")
