"""Every setting of both services, read once from the environment and ``.env``."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from platformdirs import user_cache_path
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.language.whisper import language_code

Service = Literal["asr", "tts"]
Port = Annotated[int, Field(ge=0, le=65535)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode]

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_ROOT_PATH = re.compile(r"(/[\w.~-]+)+")
_KEY = re.compile(r"[!-~]+")
# Lower case, and no port that is the scheme's own: as browsers write it, who compare letter by letter.
_ORIGIN = re.compile(
    r"\*|null|(?!https?://[^:]*:(?:80|443)$)[a-z][a-z0-9+.-]*://[a-z0-9._-]+(?::\d+)?|https?://\[[0-9a-f:]+\](?::\d+)?"
)
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:]+\]?")
_OWN_PREFIXES = ("ASR_", "TTS_")
# What Docker links and Kubernetes put into the environment of a container next to a service called "asr" or "tts".
_INJECTED = re.compile(r"(ASR|TTS)_(SERVICE_|PORT_|ENV_|NAME$)")
# coqui-tts reads it: where it keeps its models.
_COQUI_OWN = frozenset({"TTS_HOME"})


class Settings(BaseSettings):
    """Settings by their environment names, which are the field names in capitals.

    An empty value means the default.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    project_name: str | None = Field(None, description="title of the API; empty: Voice Stack ASR, Voice Stack TTS")
    api_v1_str: str = Field("/v1", description="prefix of the OpenAI-compatible routes")
    cors_origins: CommaSeparated = Field((), description="comma-separated origins that browsers may call from")

    asr_host: str = Field("0.0.0.0", description="address that ASR listens on")  # noqa: S104
    asr_port: Port = Field(5001, description="port that ASR listens on; 0 takes any that is free")
    tts_host: str = Field("0.0.0.0", description="address that TTS listens on")  # noqa: S104
    tts_port: Port = Field(5002, description="port that TTS listens on; 0 takes any that is free")

    asr_device: str = Field(
        "auto", description="where the model runs: auto, cpu, cuda, cuda:N; mps with ASR_ENGINE=whisper"
    )
    tts_device: str = Field(
        "auto",
        description="where the model runs: auto, cpu, cuda, cuda:N; Piper on CUDA needs onnxruntime-gpu; coqui: mps",
    )
    asr_engine: Literal["faster-whisper", "whisper"] = Field(
        "faster-whisper", description="whisper is openai-whisper, on PyTorch"
    )
    asr_model: str = Field(
        "base",
        min_length=1,
        description=(
            "a Whisper size (tiny, base, small, medium, large-v2, large-v3, turbo, or an .en variant), a hub id, "
            "a folder or a file"
        ),
    )
    asr_compute_type: str = Field("auto", description="auto is int8 on a CPU, float16 on CUDA; else a CTranslate2 type")
    asr_decode: Literal["batched", "accurate"] = Field(
        "batched",
        description="accurate is faster-whisper's own sequential algorithm, window after window, at twice the time",
    )
    asr_vad_enabled: bool = Field(True, description="leave out what is not speech before decoding (Silero)")
    asr_language: str | None = Field(
        None, description="language of requests that name none, as code or English name; empty: detect it"
    )
    asr_max_named_models: int = Field(
        1, ge=0, description="most models beside ASR_MODEL that requests may have loaded by naming them; 0 allows none"
    )
    asr_keep_results_s: float = Field(
        3600, ge=0, description="how long subtitles made for Bazarr are kept for retries; 0 keeps none"
    )

    tts_engine: Literal["auto", "coqui", "piper"] = Field(
        "auto", description="coqui is XTTS-v2; auto is coqui where coqui-tts is installed, else piper"
    )
    tts_model: str = Field(
        "tts_models/multilingual/multi-dataset/xtts_v2",
        description="coqui's model name or the folder of a checkpoint; Piper does not use it",
    )
    coqui_tos_agreed: bool = Field(
        False,
        description=(
            "1 accepts the licence of the XTTS-v2 weights (CPML: no commercial use); without it they are neither "
            "fetched nor loaded"
        ),
    )
    tts_voice_dir: Path = Field(
        Path("voices"),
        description=(
            "folder of recordings to clone (.wav) and of Piper voices (.onnx with .onnx.json), from where the service "
            "starts"
        ),
    )
    tts_default_voice: str | None = Field(
        None, description="voice for OpenAI's own voice names (alloy, ...), by id or name; empty: the first one found"
    )
    tts_auto_lang: bool = Field(True, description="tell the language of each sentence, where the voices speak several")
    tts_max_chars: int = Field(180, ge=20, le=2000, description="most characters that are spoken in one go")
    tts_max_input_chars: int = Field(100_000, ge=1, description="most characters in one request")
    tts_sample_rate: Literal[8000, 12000, 16000, 24000, 48000] = Field(24000, description="sample rate of the speech")

    model_dir: Path = Field(
        default_factory=lambda: user_cache_path("voice-stack") / "models",
        description=(
            "where models are kept; empty: ~/.cache/voice-stack/models on Linux, ~/Library/Caches/voice-stack/models "
            "on macOS"
        ),
    )
    model_ttl_s: float = Field(
        0,
        ge=0,
        description="a model unused for this long is let go of and loaded again by the next request; 0 keeps it",
    )
    hf_hub_offline: bool = Field(False, description="never ask the model hub: use what is on this machine")

    api_keys: CommaSeparated = Field(
        (),
        description="comma-separated keys, sent as Bearer or as the password of Basic; empty leaves the services open",
        repr=False,
    )
    health_open: bool = Field(True, description="health and Bazarr's /status are served without an API key")
    metrics_open: bool = Field(False, description="/metrics is served without an API key")
    playground: bool = Field(True, description="serve a page at / to try the service in a browser; it needs no API key")
    allowed_hosts: CommaSeparated = Field(
        (),
        description="comma-separated names that requests may address the service by, as in *.example.org; empty: any",
    )
    max_upload_mb: int = Field(
        2048, ge=1, description="largest upload; more gets 413; of TTS, TTS_MAX_INPUT_CHARS bounds the body"
    )
    max_audio_s: float = Field(
        43_200, ge=0, description="longest audio of one transcription; longer gets 400; 0 is no limit"
    )
    max_queue: int = Field(64, ge=0, description="most waiting requests; one more gets 503 with Retry-After")
    max_wait_s: float = Field(
        0, ge=0, description="a request that could not begin in this time gets 503 with Retry-After; 0 lets it wait"
    )
    max_request_s: float = Field(
        0, ge=0, description="longest time from the last byte of a request to that of its answer, s; 0 is no limit"
    )
    max_stall_s: float = Field(
        60, ge=0, description="a client that sends or takes nothing for so long is cut off, s; 0 waits for ever"
    )
    max_connections: int = Field(
        1024, ge=1, description="most open connections of a process; one more ends an idle one, or gets 503"
    )
    max_sessions: int = Field(
        64, ge=0, description="most open sessions over WebSockets of a process; one more gets 503; 0 allows none"
    )
    session_idle_s: float = Field(
        300, ge=0, description="a session in which nothing goes either way for so long is closed, s; 0 keeps it"
    )
    max_session_s: float = Field(86_400, ge=0, description="longest session over a WebSocket, s; 0 is no limit")
    shutdown_grace_s: float = Field(30, ge=0, description="how long running requests may take to finish at a stop")
    workers: int = Field(
        1, ge=1, description="processes of a service, each with a model of its own and its share of the processors"
    )

    root_path: str = Field(
        "", description="path below which a proxy offers the service, as in /asr; the proxy may strip it or not"
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description=(
            "comma-separated addresses and networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are "
            "believed; * believes everybody"
        ),
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="least that is logged"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="json is one object a line, with the request's id in it"
    )

    debugpy_enable: bool = Field(False, description="remote debugging: whoever reaches its port can run code")
    debugpy_host: str = Field("0.0.0.0", description="address that debugpy listens on")  # noqa: S104
    debugpy_port: Port = Field(5678, description="port that debugpy listens on")
    debugpy_wait_for_client: bool = Field(False, description="do not start before a debugger is attached")

    @field_validator("asr_port", "tts_port", mode="before")
    @classmethod
    def _injected(cls, value: object, info: ValidationInfo) -> object:
        # Kubernetes and Docker's links give the address of a service that is called "asr" this name.
        if isinstance(value, str) and value.startswith(("tcp://", "udp://")):
            return cls.model_fields[str(info.field_name)].default
        return value

    @field_validator("cors_origins", "api_keys", "allowed_hosts", mode="before")
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

    @field_validator("api_keys")
    @classmethod
    def _sendable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Libraries disagree on how to write anything else into a header.
        if not all(_KEY.fullmatch(key) for key in value):
            raise ValueError("a key may hold printable ASCII only, and no space")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin as browsers send it; write https://app.example or * for any")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host; write a name or an address without scheme and port")
        return tuple(host.lower() for host in value)

    @field_validator("root_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if value and not _ROOT_PATH.fullmatch(value):
            raise ValueError("start with a slash and end without one, as in /asr")
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for piece in value.split(","):
            if piece.strip() != "*":
                # uvicorn would take a wrong one for a name that nobody has, and believe nobody.
                ipaddress.ip_network(piece.strip())
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
        if upper.startswith(_OWN_PREFIXES) and upper not in {*known, *_COQUI_OWN} and not _INJECTED.match(upper):
            close = difflib.get_close_matches(upper, known, n=1)
            problems.append(f"{name}: no such setting" + (f"; did you mean {close[0]}?" if close else ""))
    return problems


def _describe(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "settings"
    message = str(detail["msg"]).removeprefix("Value error, ")
    given = "" if name == "API_KEYS" else f" (got {detail['input']!r})"
    return f"{name}: {message}{given}"
