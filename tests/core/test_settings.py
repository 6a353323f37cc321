"""Settings from the environment and from ``.env``."""

from pathlib import Path

import pytest

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings(None)
    assert settings.address("asr") == ("0.0.0.0", 5001)
    assert settings.address("tts") == ("0.0.0.0", 5002)
    assert (settings.asr_engine, settings.asr_model, settings.asr_compute_type) == ("faster-whisper", "base", "auto")
    assert (settings.tts_engine, settings.tts_max_chars, settings.tts_sample_rate) == ("auto", 180, 24000)
    assert (settings.max_upload_mb, settings.max_queue, settings.log_format) == (2048, 64, "text")
    assert (settings.title("asr"), settings.title("tts")) == ("Voice Stack ASR", "Voice Stack TTS")


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("ASR_MODEL=small\nASR_PORT=6001\n")
    monkeypatch.setenv("ASR_MODEL", "tiny.en")
    settings = load_settings(env_file)
    assert (settings.asr_model, settings.asr_port) == ("tiny.en", 6001)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "one, two,,")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example")
    settings = load_settings(None)
    assert settings.api_keys == ("one", "two")
    assert settings.cors_origins == ("https://a.example",)


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_LANGUAGE", "")
    monkeypatch.setenv("MAX_QUEUE", "")
    settings = load_settings(None)
    assert (settings.asr_language, settings.max_queue) == (None, 64)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASR_PORT", "http"),
        ("ASR_PORT", "70000"),
        ("ASR_ENGINE", "kaldi"),
        ("ASR_LANGUAGE", "klingon"),
        ("ASR_DEVICE", "gpu"),
        ("ASR_DEVICE", "cuda:"),
        ("TTS_MAX_CHARS", "0"),
        ("TTS_SAMPLE_RATE", "1"),
        ("MAX_UPLOAD_MB", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("API_V1_STR", "v1"),
        ("ASR_VAD_ENABLED", "perhaps"),
    ],
)
def test_a_bad_value_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"^{name}: .*{value}"):
        load_settings(None)


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_PORT", "x")
    monkeypatch.setenv("TTS_PORT", "y")
    with pytest.raises(ConfigurationError, match=r"ASR_PORT.*TTS_PORT"):
        load_settings(None)


def test_an_unknown_setting_is_an_error_that_suggests_the_right_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASR_MODLE", "small")
    with pytest.raises(ConfigurationError, match="ASR_MODLE: no such setting; did you mean ASR_MODEL"):
        load_settings(None)
    monkeypatch.delenv("ASR_MODLE")
    (tmp_path / ".env").write_text("TTS_VIOCE_DIR=here\n")
    with pytest.raises(ConfigurationError, match="TTS_VIOCE_DIR"):
        load_settings(tmp_path / ".env")


def test_variables_that_container_platforms_inject_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("TTS_PORT_5002_TCP_ADDR", "10.0.0.2")
    load_settings(None)


def test_a_port_that_a_container_platform_injects_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("TTS_PORT", "6002")
    settings = load_settings(None)
    assert (settings.asr_port, settings.tts_port) == (5001, 6002)


def test_where_coqui_keeps_its_models_is_no_setting_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_HOME", "/models")
    load_settings(None)


def test_keys_are_shown_neither_in_errors_nor_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "very-secret")
    assert "very-secret" not in repr(load_settings(None))
