"""A file of speech on its way to its name."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from voice_stack.tts.voices.storage import sync_folder
from voice_stack.utils.audio.formats import AudioFormat
from voice_stack.utils.outputs import OutputError, writing

_LARGEST_WAV = 2**32 - 1
_WAV_HEADER_BYTES = 44
_FLAC_SAMPLES_AT = 18


class StagedSpeech:
    """A hidden folder beside a target, with all that is made until the target is whole.

    It belongs to one process at a time. Closed without ``publish`` it stays, for the next run to go on from what is in
    ``chunks``; empty it goes.

    Raises:
        OutputError: from every method, where something cannot be written; and if another process is at it.
    """

    def __init__(self, target: Path, audio_format: AudioFormat, *, overwrite: bool) -> None:
        self._target = target
        self._format = audio_format
        self._overwrite = overwrite
        self._folder = target.with_name(f".{target.name}.part")
        self._check_target()
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._folder / "lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise OutputError(f"{target} is being made by another process") from error
        self.chunks = self._folder / "chunks"
        """Where the engine's own audio is kept."""
        self._speech = self._folder / f"speech.{audio_format.extension}"
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Give the folder up; remove it where nothing is kept in it."""
        # What a full disk did not take is tried again at the close.
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            if not self.chunks.exists() or not self.chunks.stat().st_size:
                self.discard()
        self._lock.release()

    def discard(self) -> None:
        """Remove all that is kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, data: bytes) -> None:
        """Write the next bytes of the file."""
        with writing(self._speech):
            if self._file is None:
                self._file = self._speech.open("w+b")
            self._file.write(data)

    def publish(self, samples: int) -> None:
        """Give the file, of so many samples, its name.

        Raises:
            OutputError: also if the name is in use by now and may not be overwritten.
        """
        self._check_target()
        with writing(self._target):
            if self._file is not None:
                _complete_header(self._file, self._format, samples)
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            self._speech.replace(self._target)
            sync_folder(self._target.parent)
        self.discard()

    def _check_target(self) -> None:
        if self._target.exists():
            if not self._target.is_file():
                raise OutputError(f"{self._target} is not a regular file; standard output is -o -")
            if not self._overwrite:
                raise OutputError(f"{self._target} exists and is kept; replace it with --overwrite")


def _complete_header(file: BinaryIO, audio_format: AudioFormat, samples: int) -> None:
    """Tell the length, which a stream cannot know at its start, in the formats that have a place for it."""
    size = file.seek(0, os.SEEK_END)
    if audio_format.name == "wav" and size <= _LARGEST_WAV:
        for place, count in ((4, size - 8), (_WAV_HEADER_BYTES - 4, size - _WAV_HEADER_BYTES)):
            file.seek(place)
            file.write(count.to_bytes(4, "little"))
    elif audio_format.name == "flac":
        # The last 36 of 64 bits of STREAMINFO, after the rate, the channels and the bits of a sample.
        file.seek(_FLAC_SAMPLES_AT)
        others = int.from_bytes(file.read(8), "big") >> 36 << 36
        file.seek(_FLAC_SAMPLES_AT)
        file.write((others | samples).to_bytes(8, "big"))
