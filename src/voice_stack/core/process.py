"""What each server process does before its app is built."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from fastapi import FastAPI

from voice_stack.core.debugging import enable_debugging
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.logging import setup_logging
from voice_stack.core.memory import return_freed_memory
from voice_stack.core.settings import Settings, load_settings

EXIT_CONFIGURATION = 2
"""Exit code for a setting that cannot be used."""

SWITCH_INTERVAL_S = 0.0005
"""How long a worker thread may keep the interpreter from the event loop, which needs it several times for each answer.
With Python's 5 ms the first bytes of an MP3 left 30 ms late, while the rest of the sentence was encoded."""


def app_from_settings(create_app: Callable[[Settings], FastAPI]) -> FastAPI:
    """Read the settings, set up logging, listen for a debugger where asked, and build the app.

    Ends the process with ``EXIT_CONFIGURATION`` and one clear line when a setting cannot be used.
    """
    return_freed_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        settings = load_settings()
        setup_logging(settings.log_level, settings.log_format)
        if settings.hf_hub_offline:
            # The hub's own library reads the environment only, and at its import.
            os.environ["HF_HUB_OFFLINE"] = "1"
        enable_debugging(settings)
        return create_app(settings)
    except ConfigurationError as error:
        fail(error)


def fail(error: VoiceStackError, code: int = EXIT_CONFIGURATION) -> NoReturn:
    """End the process with one line on standard error."""
    sys.stderr.write(f"voice-stack: {error}\n")
    raise SystemExit(code)


def leave(code: int) -> NoReturn:
    """End the process at once, with what it has written on its way.

    Python's own end aborts the process (exit code 134) where a thread is inside of a library then, as while a model is
    loaded: that would make a failure of a stop that was asked for.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or a pipe that nobody reads any more.
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
