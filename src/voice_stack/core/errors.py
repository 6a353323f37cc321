"""The error tree of both services, and its rendering as OpenAI's error envelope.

    VoiceStackError                     500  server_error
    ├── InvalidRequestError             400  code invalid_request
    │   └── InvalidAudioError           400  code invalid_audio
    ├── AuthenticationError             401  code invalid_api_key
    ├── NotFoundError                   404  code not_found
    │   ├── ModelNotFoundError          404  code model_not_found
    │   └── VoiceNotFoundError          404  code voice_not_found
    ├── ForbiddenError                  403  code forbidden
    ├── StalledError                    408  code request_stalled
    ├── SessionExpiredError             408  code session_expired
    ├── ConflictError                   409  code conflict
    ├── UploadTooLargeError             413  code upload_too_large
    ├── UnavailableError                503  Retry-After
    │   ├── QueueFullError              503  code queue_full
    │   ├── StoppingError               503  code stopping
    │   ├── ModelLoadError              503  code model_unavailable
    │   └── DeviceLostError             503  code device_lost
    ├── DeadlineError                   504  code deadline_exceeded
    ├── EngineError                     500  code engine_error
    └── ConfigurationError              never sent: the process ends with exit code 2

Engine modules translate the errors of the libraries they wrap into this tree; nothing above them does.
"""

from typing import Any, ClassVar

_QUOTED_CHARS = 80


class VoiceStackError(Exception):
    """Base of every error that a client or an operator may see.

    ``str(error)`` says what was wrong and what to do. ``param`` names the request parameter at fault.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}

    def envelope(self) -> dict[str, Any]:
        """The body that the OpenAI SDK reads: ``{"error": {message, type, param, code}}``."""
        return envelope(self.message, type_=self.type, param=self.param, code=self.code)


class InvalidRequestError(VoiceStackError):
    """The request cannot be served as it is; repeating it unchanged will fail again."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidAudioError(InvalidRequestError):
    """The upload holds no audio that can be decoded."""

    code = "invalid_audio"


class AuthenticationError(VoiceStackError):
    """No API key was sent, or a wrong one."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class NotFoundError(VoiceStackError):
    """What the request names does not exist here."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFoundError(NotFoundError):
    """The model is neither on this machine nor may it be downloaded."""

    code = "model_not_found"


class VoiceNotFoundError(NotFoundError):
    """There is no voice of that name."""

    code = "voice_not_found"


class ForbiddenError(VoiceStackError):
    """A web page of a foreign origin asks, or the service is addressed by a name that is not its own."""

    status = 403
    type = "invalid_request_error"
    code = "forbidden"


class StalledError(VoiceStackError):
    """The client did not send the rest of its request."""

    status = 408
    type = "invalid_request_error"
    code = "request_stalled"


class SessionExpiredError(VoiceStackError):
    """The time of a session over a WebSocket is over, or nothing went either way for too long."""

    status = 408
    type = "invalid_request_error"
    code = "session_expired"


class ConflictError(VoiceStackError):
    """What the request would make or remove stands against what is there."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class UploadTooLargeError(VoiceStackError):
    """The request body is larger than the service takes at this path."""

    status = 413
    type = "invalid_request_error"
    code = "upload_too_large"


class UnavailableError(VoiceStackError):
    """The service cannot take this request now; the same request may succeed later."""

    status = 503
    type = "server_error"
    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class QueueFullError(UnavailableError):
    """``MAX_QUEUE`` requests are waiting already."""

    code = "queue_full"


class StoppingError(UnavailableError):
    """The service is shutting down."""

    code = "stopping"


class ModelLoadError(UnavailableError):
    """The configured model could not be loaded."""

    code = "model_unavailable"


class DeviceLostError(UnavailableError):
    """The GPU failed in a way that this process cannot recover from; the service starts anew."""

    code = "device_lost"


class DeadlineError(VoiceStackError):
    """The request took longer than ``MAX_REQUEST_S``."""

    status = 504
    code = "deadline_exceeded"

    @property
    def headers(self) -> dict[str, str]:
        # OpenAI's SDK would send it again twice, which would take as long.
        return {"x-should-retry": "false"}


class EngineError(VoiceStackError):
    """The speech engine failed on a request that was valid."""

    code = "engine_error"


class ConfigurationError(VoiceStackError):
    """A setting is unknown or has a value that cannot be used."""

    code = "configuration"


def quoted(text: str) -> str:
    """What a client sent, for a message: in quotes, without control characters, and not all of it where it is long."""
    return repr(text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}...")


def envelope(
    message: str, *, type_: str = "server_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Build OpenAI's error body."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}
