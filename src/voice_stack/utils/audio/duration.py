"""How long a media file says it is."""

from typing import BinaryIO

import av

from voice_stack.utils.audio.ffmpeg import AV_ERRORS
from voice_stack.utils.audio.source import UntilClosed


def declared_duration_s(source: BinaryIO) -> float | None:
    """The length in seconds that the container declares, or that its size suggests; ``None`` where neither is known.

    Good for a progress bar: only decoding tells the true length. ``source`` is seekable, and left anywhere.
    """
    source.seek(0)
    try:
        # As in decode.py: a playlist must not make other files open.
        with av.open(
            UntilClosed(source), "r", container_options={"protocol_whitelist": "none"}, metadata_errors="ignore"
        ) as container:
            return container.duration / av.time_base if container.duration else None
    except AV_ERRORS:
        return None
