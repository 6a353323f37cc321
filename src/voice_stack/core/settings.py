"""Every setting of both services, read once from the environment and ``.env``."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from platformdirs import user_cache_path
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.language.whisper import language_code

Service = Literal["asr", "tts"]
Port = Annotated[int, Field(ge=0, le=65535)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode]

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_OWN_PREFIXES = ("ASR_", "TTS_")
# What Docker links and Kubernetes put into the environment of a container next to a service called "asr" or "tts".
_INJECTED = re.compile(r"(ASR|TTS)_(SERVICE_|PORT_|ENV_|NAME$)")


class Settings(BaseSettings):
    """Settings by their environment names, which are the field names in capitals.

    An empty value means the default.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    project_name: str | None = Field(None, description="API title; default: Voice Stack ASR or Voice Stack TTS")
    api_v1_str: str = Field("/v1", description="prefix of the OpenAI-compatible routes")
    cors_origins: CommaSeparated = Field((), description="comma-separated origins that browsers may call from")

    asr_host: str = Field("0.0.0.0", description="address the ASR service listens on")  # noqa: S104
    asr_port: Port = Field(5001, description="port of the ASR service")
    tts_host: str = Field("0.0.0.0", description="address the TTS service listens on")  # noqa: S104
    tts_port: Port = Field(5002, description="port of the TTS service")

    asr_device: str = Field("auto", description="auto, cpu, cuda, cuda:N, or mps where the engine can")
    tts_device: str = Field("auto", description="auto, cpu, cuda, cuda:N, or mps where the engine can")
    asr_engine: Literal["faster-whisper", "whisper"] = Field("faster-whisper", description="speech to text engine")
    asr_model: str = Field("base", min_length=1, description="Whisper size, hub id, folder or file")
    asr_compute_type: str = Field("auto", description="auto is int8 on a CPU, float16 on CUDA")
    asr_decode: Literal["batched", "accurate"] = Field(
        "batched", description="accurate is faster-whisper's own sequential algorithm, one window after the other"
    )
    asr_vad_enabled: bool = Field(True, description="Silero voice activity detection before decoding")
    asr_language: str | None = Field(None, description="language to force; empty detects it")
    asr_max_named_models: int = Field(
        1, ge=0, description="most models beside ASR_MODEL that requests may have loaded by naming them"
    )
    asr_keep_results_s: float = Field(
        3600, ge=0, description="how long Bazarr's subtitles are kept for retries; 0 keeps none"
    )

    tts_engine: Literal["auto", "coqui", "piper"] = Field(
        "auto", description="auto is coqui where coqui-tts is installed, else piper"
    )
    tts_model: str = Field(
        "tts_models/multilingual/multi-dataset/xtts_v2", description="coqui model name or checkpoint folder"
    )
    coqui_tos_agreed: bool = Field(
        False, description="1 accepts the licence of the XTTS-v2 weights (CPML: no commercial use)"
    )
    tts_voice_dir: Path = Field(
        Path("voices"), description="voice samples (.wav) and Piper voices (.onnx + .onnx.json)"
    )
    tts_default_voice: str | None = Field(None, description="default: the first voice found")
    tts_auto_lang: bool = Field(True, description="detect the language of the text")
    tts_max_chars: int = Field(180, ge=20, le=2000, description="most characters in one synthesis chunk")
    tts_max_input_chars: int = Field(100_000, ge=1, description="most characters in one speech request")
    tts_sample_rate: Literal[8000, 12000, 16000, 24000, 48000] = Field(24000, description="output sample rate, Hz")

    model_dir: Path = Field(
        default_factory=lambda: user_cache_path("voice-stack") / "models", description="where models are kept"
    )
    model_ttl_s: float = Field(
        0, ge=0, description="seconds without use after which a model is let go of; 0 keeps it for ever"
    )
    hf_hub_offline: bool = Field(False, description="never ask the model hub")

    api_keys: CommaSeparated = Field((), description="comma-separated keys; empty leaves the service open", repr=False)
    max_upload_mb: int = Field(2048, ge=1, description="largest request body, MiB")
    max_queue: int = Field(64, ge=0, description="most waiting requests")
    max_wait_s: float = Field(0, ge=0, description="how long a request may wait for its turn to begin; 0 is for ever")
    shutdown_grace_s: float = Field(30, ge=0, description="how long running requests may take to finish at a stop")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field("INFO", description="log level")
    log_format: Literal["text", "json"] = Field("text", description="json is one object a line")

    debugpy_enable: bool = Field(False, description="remote debugging")
    debugpy_host: str = Field("0.0.0.0", description="address debugpy listens on")  # noqa: S104
    debugpy_port: Port = Field(5678, description="port debugpy listens on")
    debugpy_wait_for_client: bool = Field(False, description="do not start before a debugger is attached")

    @field_validator("cors_origins", "api_keys", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
        return value

    @field_validator("tts_sample_rate", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        # Literal does not convert what the environment can only give as text.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return str(value).upper() if value in {"debug", "info", "warning", "error", "critical"} else value

    @field_validator("asr_device", "tts_device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise ValueError("use auto, cpu, cuda, cuda:N or mps")
        return value

    @field_validator("asr_language")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        return None if value is None else language_code(value)

    @field_validator("api_v1_str")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not value.startswith("/") or value != value.rstrip("/"):
            raise ValueError("start with a slash and end without one, as in /v1")
        return value

    def title(self, service: Service) -> str:
        """The API title of one of the services."""
        return self.project_name or f"Voice Stack {service.upper()}"

    def address(self, service: Service) -> tuple[str, int]:
        """Host and port that one of the services listens on."""
        return (self.asr_host, self.asr_port) if service == "asr" else (self.tts_host, self.tts_port)


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Read the settings from the environment and, below it, from ``env_file``.

    Raises:
        ConfigurationError: a value cannot be used, or a name with our prefix is unknown.
    """
    problems = _unknown_names(os.environ)
    if env_file is not None and env_file.is_file():
        problems += _unknown_names(dotenv_values(env_file))
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        problems += [_describe(detail) for detail in error.errors(include_url=False)]
    if problems:
        raise ConfigurationError("; ".join(dict.fromkeys(problems)))
    return settings


def _unknown_names(names: Mapping[str, str | None]) -> list[str]:
    known = [name.upper() for name in Settings.model_fields]
    problems = []
    for name in sorted(names):
        upper = name.upper()
        if upper.startswith(_OWN_PREFIXES) and upper not in known and not _INJECTED.match(upper):
            close = difflib.get_close_matches(upper, known, n=1)
            problems.append(f"{name}: no such setting" + (f"; did you mean {close[0]}?" if close else ""))
    return problems


def _describe(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "settings"
    message = str(detail["msg"]).removeprefix("Value error, ")
    given = "" if name == "API_KEYS" else f" (got {detail['input']!r})"
    return f"{name}: {message}{given}"
