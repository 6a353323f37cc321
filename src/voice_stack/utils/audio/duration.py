"""What a media file says of its audio."""

from collections.abc import Callable
from typing import BinaryIO, TypeVar

import av
from av.container import InputContainer

from voice_stack.utils.audio.ffmpeg import AV_ERRORS
from voice_stack.utils.audio.source import UntilClosed

T = TypeVar("T")

# A stream of an unknown codec lacks attributes.
_NOT_TOLD: tuple[type[Exception], ...] = (*AV_ERRORS, AttributeError)


def declared_duration_s(source: BinaryIO) -> float | None:
    """The length in seconds that the container declares, or that its size suggests; ``None`` where neither is known.

    Good for a progress bar: only decoding tells the true length. ``source`` is seekable, and left anywhere.
    """
    return _told(source, lambda container: container.duration / av.time_base if container.duration else None, None)


def declared_rate_hz(source: BinaryIO) -> int:
    """The highest sample rate that a stream declares; 0 where none does. ``source`` as above."""
    return _told(
        source, lambda container: max((each.sample_rate or 0 for each in container.streams.audio), default=0), 0
    )


def _told(source: BinaryIO, tell: Callable[[InputContainer], T], otherwise: T) -> T:
    source.seek(0)
    try:
        # As in decode.py: a playlist must not make other files open.
        with av.open(
            UntilClosed(source), "r", container_options={"protocol_whitelist": "none"}, metadata_errors="ignore"
        ) as container:
            return tell(container)
    except _NOT_TOLD:
        return otherwise
