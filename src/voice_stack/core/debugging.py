"""Remote debugging with debugpy, where the settings ask for it."""

import logging

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import Settings

_logger = logging.getLogger(__name__)


def enable_debugging(settings: Settings) -> None:
    """Listen for a debugger in this process.

    Raises:
        ConfigurationError: debugpy is not installed, or its port is taken.
    """
    if not settings.debugpy_enable:
        return
    try:
        import debugpy
    except ImportError as error:
        raise ConfigurationError(
            "DEBUGPY_ENABLE is set, but debugpy is not installed: pip install 'voice-stack[debug]'"
        ) from error
    address = (settings.debugpy_host, settings.debugpy_port)
    try:
        debugpy.listen(address)
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(f"debugpy cannot listen on {address[0]} port {address[1]}: {error}") from error
    _logger.info("debugpy listens on %s port %d", *address)
    if settings.debugpy_wait_for_client:
        _logger.info("waiting for a debugger to attach")
        debugpy.wait_for_client()
