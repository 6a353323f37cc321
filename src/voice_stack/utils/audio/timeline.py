"""Where the sound of a media file belongs on the file's own clock."""

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

# These store a time with their packets. Elsewhere FFmpeg makes times up from sizes and bit rates.
_TIMED_FORMATS = frozenset({"asf", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg"})

# Encoders' priming, the rounding of times and the jitter of recorders stay below it.
_TOLERANCE_S = 0.1

# A time that lies must not make days of silence. A whole film may be silent, but it has pictures then: 250 bytes a
# second are fewer than those of any film.
_MOST_SILENCE_S = 4 * 3600.0
_SMALL_FILE_SILENCE_S = 60.0
_LEAST_BYTES_PER_S = 250

# The clock of a broadcast may be set anew anywhere. FFmpeg's programs take a step of this size for that.
_BROADCAST_FORMATS = frozenset({"mpeg", "mpegts"})
_NEW_CLOCK_S = 10.0

# By which step back a clock was set anew: less may be packets that overlap.
_STEP_BACK_S = 1.0


class Timeline:
    """Follows the frames of an audio stream and tells what silence is missing between them.

    Time 0 is where the file begins: a film whose sound sets in later begins with silence. Frames that come too
    early are left where they are.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, *, file_bytes: int) -> None:
        name = container.format.name.split(",")[0]
        self._timed = name in _TIMED_FORMATS
        self._broadcast = name in _BROADCAST_FORMATS
        self._budget_s = min(_MOST_SILENCE_S, max(_SMALL_FILE_SILENCE_S, file_bytes / _LEAST_BYTES_PER_S))
        if container.duration is not None:
            self._budget_s = min(self._budget_s, max(0, container.duration) / av.time_base)
        self._origin_s = _others_start_s(container, stream)
        self._begun = False
        self._played_s = 0.0

    def gap_s(self, frame: av.AudioFrame) -> float:
        """Count a frame as played; return the seconds of silence that belong in front of it, mostly 0."""
        gap_s = self._lacking_s(frame.time) if self._timed and frame.time is not None else 0.0
        self._played_s += gap_s + frame.samples / frame.sample_rate
        self._begun = True
        return gap_s

    def _lacking_s(self, time_s: float) -> float:
        if self._origin_s is None:
            self._origin_s = time_s - self._played_s
        lacking_s = time_s - self._origin_s - self._played_s
        if -_STEP_BACK_S <= lacking_s <= _TOLERANCE_S:
            return 0.0
        new_clock = self._begun and self._broadcast and lacking_s > _NEW_CLOCK_S
        if lacking_s < 0 or lacking_s > self._budget_s or new_clock:
            self._origin_s += lacking_s
            return 0.0
        self._budget_s -= lacking_s
        return lacking_s


def _others_start_s(container: InputContainer, stream: AudioStream) -> float | None:
    """When the file begins; ``None`` where that is with this stream, as its priming may be counted or not."""
    if container.start_time is None:
        return None
    start_s = container.start_time / av.time_base
    if stream.start_time is not None and stream.time_base is not None:
        own_s = float(stream.start_time * stream.time_base)
        if own_s - start_s <= _TOLERANCE_S:
            return None
    return start_s
