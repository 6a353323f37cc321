"""What to say, and where to."""

import sys
from collections.abc import Sequence
from pathlib import Path

from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.audio.formats import AUDIO_FORMATS

STANDARD_STREAM = "-"
DEFAULT_FORMAT = "mp3"

WHERE_TO = "say where to write: -o FILE, as in -o speech.mp3, or -o - for standard output"

_FORMAT_BY_SUFFIX = {
    **{f".{audio_format.extension}": name for name, audio_format in AUDIO_FORMATS.items()},
    ".opus": "opus",
    ".oga": "opus",
    ".wave": "wav",
    ".raw": "pcm",
}


def read_text(words: Sequence[str], file: str | None) -> str:
    """The text of the command line, of a file, or of standard input (``-``).

    Raises:
        ConfigurationError: there is none or more than one, or it cannot be read.
    """
    source = _source(words, file)
    if source is None:
        return " ".join(words)
    name = "standard input" if source == STANDARD_STREAM else source
    try:
        data = sys.stdin.buffer.read() if source == STANDARD_STREAM else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} is no text in UTF-8 (byte {error.start})") from error


def is_standard_input(words: Sequence[str], file: str | None) -> bool:
    """Whether that is where the text comes from.

    Raises:
        ConfigurationError: there is none or more than one.
    """
    return _source(words, file) == STANDARD_STREAM


def is_played(output: str | None, audio_format: str | None, file: str | None, *, asked: bool) -> bool:
    """Whether the loudspeaker speaks: where that is asked for, or nothing else is said and there is no file's name.

    Raises:
        ConfigurationError: it is asked for, and a file as well.
    """
    if asked and (output is not None or audio_format is not None):
        raise ConfigurationError("--play is for the loudspeaker: leave --output and --format out")
    return asked or (output is None and audio_format is None and file in {None, STANDARD_STREAM})


def _source(words: Sequence[str], file: str | None) -> str | None:
    """The file with the text, ``-`` for standard input; None: the words are the text."""
    if words and file is not None:
        raise ConfigurationError("give a text or --file, not both")
    if not words and file is None:
        raise ConfigurationError("give a text, or -f FILE, or - for standard input")
    return STANDARD_STREAM if list(words) == [STANDARD_STREAM] else file


def choose_output(output: str | None, audio_format: str | None, file: str | None) -> tuple[Path | None, str]:
    """The file to make, None for standard output, and its format.

    Without ``output`` the file is named after the text's.

    Raises:
        ConfigurationError: no name or no format follows from what is given.
    """
    if output == STANDARD_STREAM:
        if sys.stdout.isatty():
            raise ConfigurationError("-o - would write audio to the terminal; send it to a file or another program")
        return None, audio_format or DEFAULT_FORMAT
    if output is None:
        if file is None or file == STANDARD_STREAM:
            raise ConfigurationError(WHERE_TO)
        audio_format = audio_format or DEFAULT_FORMAT
        target = Path(file).with_suffix(f".{AUDIO_FORMATS[audio_format].extension}")
    else:
        target = Path(output)
        if not target.name:
            raise ConfigurationError(f"--output: {output!r} is no name of a file")
        audio_format = audio_format or _FORMAT_BY_SUFFIX.get(target.suffix.lower())
        if audio_format is None:
            raise ConfigurationError(
                f"--output: {output} does not tell the format; let it end in "
                f"{', '.join(sorted(_FORMAT_BY_SUFFIX))}, or give --format"
            )
    if file is not None and target == Path(file):
        raise ConfigurationError(f"{target} is the text itself; give another file with -o")
    return target, audio_format
