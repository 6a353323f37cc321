"""Server events have the shapes of OpenAI's SDK."""

import pytest
from openai.types import realtime
from pydantic import BaseModel

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
from voice_stack.asr.realtime.events import told
from voice_stack.core.errors import EngineError

SHAPES: list[tuple[LiveEvent, list[type[BaseModel]]]] = [
    (SpeechStarted("item_b", 1.2345), [realtime.InputAudioBufferSpeechStartedEvent]),
    (SpeechStopped("item_b", 2.0), [realtime.InputAudioBufferSpeechStoppedEvent]),
    (
        Committed("item_b", "item_a"),
        [realtime.InputAudioBufferCommittedEvent, realtime.ConversationItemAdded, realtime.ConversationItemDone],
    ),
    (Delta("item_b", " all"), [realtime.ConversationItemInputAudioTranscriptionDeltaEvent]),
    (SegmentDone("item_b", 0.5, 1.5, "all"), [realtime.ConversationItemInputAudioTranscriptionSegment]),
    (Completed("item_b", "all", 1.25, "en"), [realtime.ConversationItemInputAudioTranscriptionCompletedEvent]),
    (Completed("item_b", "", 1.0, None), [realtime.ConversationItemInputAudioTranscriptionCompletedEvent]),
    (Failed("item_b", EngineError("It broke.")), [realtime.ConversationItemInputAudioTranscriptionFailedEvent]),
]


@pytest.mark.parametrize(("event", "shapes"), SHAPES)
def test_each_event_has_openai_s_shape(event: LiveEvent, shapes: list[type[BaseModel]]) -> None:
    events = list(told(event, beta=False))
    for (type_, fields), shape in zip(events, shapes, strict=True):
        shape.model_validate({"type": type_, "event_id": "event_1", **fields}, strict=True)


def test_times_are_whole_milliseconds() -> None:
    ((_, started),) = told(SpeechStarted("item_b", 1.2345), beta=False)
    ((_, stopped),) = told(SpeechStopped("item_b", 2.0), beta=False)
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (1234, 2000)


def test_an_item_is_what_was_committed_and_tells_what_came_before() -> None:
    committed, added, done = (fields for _, fields in told(Committed("item_b", "item_a"), beta=False))
    assert committed == {"item_id": "item_b", "previous_item_id": "item_a"}
    assert added == done
    assert (added["previous_item_id"], added["item"]["id"], added["item"]["role"]) == ("item_a", "item_b", "user")


def test_in_the_beta_an_item_is_created() -> None:
    _, created = told(Committed("item_b", None), beta=True)
    assert created[0] == "conversation.item.created"
    realtime.ConversationItemCreatedEvent.model_validate({"type": created[0], "event_id": "event_1", **created[1]})


def test_a_transcript_tells_its_language_and_length_and_a_failure_its_reason() -> None:
    ((_, completed),) = told(Completed("item_b", "all", 1.25, "en"), beta=False)
    assert completed["usage"] == {"type": "duration", "seconds": 1.25}
    assert completed["languages"] == [{"code": "en"}]
    ((_, failed),) = told(Failed("item_b", EngineError("It broke.")), beta=False)
    assert (failed["error"]["message"], failed["error"]["code"]) == ("It broke.", "engine_error")
