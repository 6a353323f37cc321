"""What a live transcription tells, in the events of OpenAI's Realtime protocol."""

from collections.abc import Iterator
from typing import Any

from voice_stack.asr.live.events import (
    Committed,
    Completed,
    Delta,
    Failed,
    LiveEvent,
    SegmentDone,
    SpeechStarted,
    SpeechStopped,
)

Told = tuple[str, dict[str, Any]]
"""The type of an event, and its fields but for ``event_id``."""

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


def told(event: LiveEvent, *, beta: bool) -> Iterator[Told]:
    """The server events for one event of a live transcription, in order.

    Args:
        beta: in the manner of OpenAI's beta, where an item is ``created`` instead of ``added`` and ``done``.
    """
    item = {"item_id": event.utterance}
    content = {**item, "content_index": 0}
    match event:
        case SpeechStarted(at_s=at_s):
            yield "input_audio_buffer.speech_started", {**item, "audio_start_ms": round(at_s * 1000)}
        case SpeechStopped(at_s=at_s):
            yield "input_audio_buffer.speech_stopped", {**item, "audio_end_ms": round(at_s * 1000)}
        case Committed(utterance, previous):
            yield "input_audio_buffer.committed", {**item, "previous_item_id": previous}
            for type_ in ("created",) if beta else ("added", "done"):
                yield f"conversation.item.{type_}", {"previous_item_id": previous, "item": _item(utterance)}
        case Delta(text=text):
            yield f"{_TRANSCRIPTION}.delta", {**content, "delta": text}
        case SegmentDone(_, start_s, end_s, text):
            # Who speaks is not told apart here, and OpenAI's clients need the field.
            times = {"start": round(start_s, 3), "end": round(end_s, 3)}
            segment = {"id": f"seg_{event.utterance}_{times['start']}", "text": text, "speaker": "", **times}
            yield f"{_TRANSCRIPTION}.segment", {**content, **segment}
        case Completed(_, text, duration_s, language):
            usage = {"type": "duration", "seconds": round(duration_s, 3)}
            languages = [{"code": language}] if language else []
            yield f"{_TRANSCRIPTION}.completed", {**content, "transcript": text, "usage": usage, "languages": languages}
        case Failed(_, error):
            yield f"{_TRANSCRIPTION}.failed", {**content, **error.envelope()}


def _item(id_: str) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
