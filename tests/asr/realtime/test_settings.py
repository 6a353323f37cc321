"""What ``session.update`` makes of a session: what is left out stays, null turns off, what is wrong changes nothing."""

from typing import Any

import pytest
from openai.types.realtime import RealtimeTranscriptionSessionCreateResponse

from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.asr.schemas.realtime import SessionConfig
from voice_stack.core.errors import InvalidRequestError


def updated(config: SessionConfig, **audio_input: Any) -> SessionConfig:
    return config.updated({"type": "transcription", "audio": {"input": audio_input}})


@pytest.mark.parametrize(
    ("audio_input", "options"),
    [
        ({}, LiveOptions()),
        ({"turn_detection": None}, LiveOptions(turns=None)),
        ({"turn_detection": {"type": "server_vad"}}, LiveOptions()),
        (
            {
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 1,
                    "prefix_padding_ms": 0,
                    "silence_duration_ms": 50,
                }
            },
            LiveOptions(turns=TurnDetection(1.0, 0.0, 0.05)),
        ),
        ({"turn_detection": {"silence_duration_ms": 200}}, LiveOptions(turns=TurnDetection(0.5, 0.3, 0.2))),
        ({"turn_detection": {"type": "semantic_vad"}}, LiveOptions(turns=TurnDetection(silence_s=0.8))),
        (
            {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}},
            LiveOptions(turns=TurnDetection(silence_s=0.4)),
        ),
        ({"transcription": {"language": "de", "prompt": "So."}}, LiveOptions(language="de", prompt="So.")),
        ({"transcription": {"language": "", "prompt": ""}}, LiveOptions()),
        ({"transcription": {"keywords": ["Ada", "Grace"]}}, LiveOptions(keywords="Ada, Grace")),
        ({"something": "new", "transcription": {"delay": "low"}}, LiveOptions()),
    ],
)
def test_what_clients_set_is_what_holds(audio_input: dict[str, Any], options: LiveOptions) -> None:
    assert updated(SessionConfig(), **audio_input).options() == options


def test_what_is_left_out_stays_as_it_is() -> None:
    config = updated(SessionConfig(), transcription={"language": "de"}, noise_reduction={"type": "near_field"})
    config = updated(config, turn_detection={"type": "server_vad", "threshold": 0.9})
    config = updated(config, turn_detection={"type": "server_vad", "silence_duration_ms": 100})
    config = updated(config, transcription={"prompt": "Hm."}, format={"rate": 8000})
    given = config.audio.input
    assert given.noise_reduction is not None
    assert given.noise_reduction.type == "near_field"
    assert given.format.rate == 8000
    assert config.options() == LiveOptions(language="de", prompt="Hm.", turns=TurnDetection(0.9, 0.3, 0.1))
    assert config.updated({}) == config


def test_what_is_of_another_type_begins_with_its_defaults() -> None:
    config = updated(SessionConfig(), turn_detection={"type": "server_vad", "threshold": 0.9})
    config = updated(config, format={"type": "audio/pcm", "rate": 48_000})
    config = updated(config, format={"type": "audio/pcma"}, turn_detection={"type": "semantic_vad", "eagerness": "low"})
    assert config.audio.input.format.rate == 8000
    config = updated(config, format={"type": "audio/pcm"}, turn_detection={"type": "server_vad"})
    assert config == SessionConfig()


def test_null_turns_off() -> None:
    config = updated(SessionConfig(), noise_reduction={"type": "far_field"}, transcription={"language": "de"})
    config = updated(config, noise_reduction=None, turn_detection=None, transcription={"language": None})
    assert config.audio.input.noise_reduction is None
    assert config.options() == LiveOptions(turns=None)
    assert updated(config, turn_detection={"type": "server_vad"}) == SessionConfig()


INPUT = "session.audio.input"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (None, "session"),
        ([], "session"),
        ({"type": "realtime"}, "session.type"),
        ({"audio": None}, "session.audio"),
        ({"audio": {"input": 5}}, INPUT),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 7999}}}}, f"{INPUT}.format.rate"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 48_001}}}}, f"{INPUT}.format.rate"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": "16000"}}}}, f"{INPUT}.format.rate"),
        ({"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 16_000}}}}, f"{INPUT}.format.rate"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, f"{INPUT}.format"),
        ({"audio": {"input": {"format": None}}}, f"{INPUT}.format"),
        ({"audio": {"input": {"transcription": None}}}, f"{INPUT}.transcription"),
        ({"audio": {"input": {"transcription": {"language": "xx"}}}}, f"{INPUT}.transcription.language"),
        ({"audio": {"input": {"transcription": {"prompt": "x" * 16_385}}}}, f"{INPUT}.transcription.prompt"),
        ({"audio": {"input": {"transcription": {"keywords": "x"}}}}, f"{INPUT}.transcription.keywords"),
        ({"audio": {"input": {"transcription": {"keywords": ["x" * 16_385]}}}}, f"{INPUT}.transcription.keywords"),
        ({"audio": {"input": {"turn_detection": {"type": "mine"}}}}, f"{INPUT}.turn_detection"),
        ({"audio": {"input": {"turn_detection": {"threshold": 1.1}}}}, f"{INPUT}.turn_detection.threshold"),
        ({"audio": {"input": {"turn_detection": {"threshold": float("nan")}}}}, f"{INPUT}.turn_detection.threshold"),
        (
            {"audio": {"input": {"turn_detection": {"prefix_padding_ms": -1}}}},
            f"{INPUT}.turn_detection.prefix_padding_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": 10**6}}}},
            f"{INPUT}.turn_detection.silence_duration_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "very"}}}},
            f"{INPUT}.turn_detection.eagerness",
        ),
        ({"audio": {"input": {"noise_reduction": {"type": "all"}}}}, f"{INPUT}.noise_reduction.type"),
        ({"audio": {"input": {"noise_reduction": {"strength": float("nan")}}}}, f"{INPUT}.noise_reduction.strength"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"include": [5] * 20_000}, "session.include.0"),
    ],
)
def test_what_is_wrong_is_named(session: object, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        SessionConfig().updated(session)
    assert caught.value.param == param
    assert str(caught.value).startswith((f"{param}: ", "This service only transcribes"))
    assert len(str(caught.value)) < 1000


def test_the_beta_s_flat_names_mean_the_same() -> None:
    config = SessionConfig().updated_beta(
        {
            "input_audio_format": "g711_alaw",
            "input_audio_transcription": {"model": "whisper-1", "language": "fr"},
            "input_audio_noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
            "modalities": ["text"],
        }
    )
    assert config.audio.input.format.type == "audio/pcma"
    assert config.options() == LiveOptions(language="fr", turns=TurnDetection(silence_s=0.7))
    flat = config.beta()
    assert flat["input_audio_format"] == "g711_alaw"
    assert flat["turn_detection"]["silence_duration_ms"] == 700
    assert config.updated_beta({"turn_detection": None}).beta()["turn_detection"] is None


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ("", "session"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
        ({"input_audio_format": None}, "session.input_audio_format"),
        ({"turn_detection": {"threshold": 2}}, "session.turn_detection.threshold"),
        ({"input_audio_transcription": {"language": "xx"}}, "session.input_audio_transcription.language"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
    ],
)
def test_what_is_wrong_is_named_as_in_the_beta(session: object, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        SessionConfig().updated_beta(session)
    assert caught.value.param == param
    assert "session.audio" not in str(caught.value)


def test_a_session_has_openai_s_shape() -> None:
    about = {"id": "sess_1", "object": "realtime.transcription_session", "expires_at": None}
    parsed = RealtimeTranscriptionSessionCreateResponse.model_validate({**about, **SessionConfig().model_dump()})
    assert parsed.audio is not None
    assert parsed.audio.input is not None
    assert parsed.audio.input.turn_detection is not None
    assert parsed.audio.input.turn_detection.silence_duration_ms == 500
