"""The folder of recordings that voices are cloned from, watched for changes."""

import hashlib
import logging
import os
import threading
import time
import unicodedata
import wave
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from voice_stack.core.errors import ConflictError, InvalidAudioError, VoiceNotFoundError, quoted
from voice_stack.tts.engine.base import Voice, VoiceSample
from voice_stack.tts.voices.names import SampleName, collision_key, name_new_voice, parse_file_name
from voice_stack.tts.voices.samples import Recording, check_recording, check_sample, decode_recording
from voice_stack.tts.voices.storage import claim, sync_folder, writing
from voice_stack.utils.temporary import written

_logger = logging.getLogger(__name__)

RESCAN_S = 1.0
"""The folder is looked at again no sooner than this."""

MAX_FILE_BYTES = 2**28
"""More than 120 s can take at any usual rate."""


@dataclass(frozen=True)
class _Version:
    """What tells that a file has changed."""

    bytes_: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class _Checked:
    version: _Version
    sha256: str = ""
    problem: str | None = None
    lasting: bool = True  # no other verdict is to be expected before the file changes


@dataclass(frozen=True)
class _Snapshot:
    voices: Sequence[Voice] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


class VoiceLibrary:
    """The voices of one folder. Its methods block, and may be called from any thread.

    A recording that cannot be used is passed over, with one warning in the log, until it changes.

    Args:
        folder: need not be there.
        rescan_s: how long what was seen in it is good for, in seconds.
    """

    def __init__(self, folder: Path, *, rescan_s: float = RESCAN_S) -> None:
        self._folder = folder
        self._rescan_s = rescan_s
        self._lock = threading.RLock()
        self._files: dict[str, _Checked] = {}
        self._warned: set[str] = set()
        self._snapshot = _Snapshot()
        self._next_scan_at = float("-inf")

    def voices(self) -> Sequence[Voice]:
        """Every voice, by id. All samples of a speaker belong to each voice of it, whatever language they name."""
        return self._current().voices

    def look_again(self) -> None:
        """See at once what has changed in the folder."""
        with self._lock:
            self._scan()

    def problems(self) -> Mapping[str, str]:
        """Why voices cannot be used of which every recording is unfit: by id, a message for whoever asks for one."""
        return self._current().problems

    def add(self, name: str, language: str | None, source: BinaryIO) -> Voice:
        """Make a voice of a recording; it is there when this returns.

        Args:
            language: of the recording; None: the one that the name ends in, else English.
            source: a seekable file of any format.

        Raises:
            InvalidRequestError: the name or the language cannot be.
            InvalidAudioError: the recording is no good.
            ConflictError: there is a voice of that name.
            UnavailableError: the folder cannot be written.
        """
        wanted = name_new_voice(name, language)
        self._check_free(wanted)
        recording = decode_recording(source)
        check_recording(recording)
        with (
            writing(self._folder),
            written(self._folder, lambda file: _write_wav(file, recording)) as temporary,
        ):
            try:
                with self._lock:
                    self._check_free(wanted)
                    claim(temporary, self._folder / f"{wanted.voice_id}.wav")
                    self._scan()
            except FileExistsError as error:
                raise _taken(wanted.voice_id) from error
        return self._find(wanted.voice_id)

    def remove(self, voice_id: str) -> None:
        """Delete the recordings of one voice; those of the speaker's other languages stay.

        Raises:
            VoiceNotFoundError: there is no such voice.
            UnavailableError: the folder cannot be written.
        """
        # Only names that the folder itself lists are ever touched; a link goes, and what it leads to stays.
        wanted = unicodedata.normalize("NFC", voice_id)
        with self._lock:
            named = [entry for entry, name in self._list() if name.voice_id == wanted]
            found = [entry for entry in named if not entry.is_dir(follow_symlinks=False)]
            if not found:
                raise self._not_found(voice_id)
            with writing(self._folder):
                for entry in found:
                    (self._folder / entry.name).unlink(missing_ok=True)
            sync_folder(self._folder)
            self._scan()

    def _find(self, voice_id: str) -> Voice:
        for voice in self._snapshot.voices:
            if voice.id == voice_id:
                return voice
        raise self._not_found(voice_id)

    def _not_found(self, voice_id: str) -> VoiceNotFoundError:
        names = ", ".join([voice.id for voice in self._snapshot.voices]) or "none"
        return VoiceNotFoundError(
            f"There is no voice {quoted(voice_id)} made from a recording here; there are: {names}.", param="voice_id"
        )

    def _check_free(self, wanted: SampleName) -> None:
        key = collision_key(wanted.voice_id)
        for _, name in self._list():
            if collision_key(name.voice_id) == key:
                raise _taken(name.voice_id)

    def _current(self) -> _Snapshot:
        if time.monotonic() >= self._next_scan_at:
            # Whoever comes while many new recordings are being checked gets the voices of before.
            first = self._next_scan_at == float("-inf")
            if self._lock.acquire(blocking=first):
                try:
                    if time.monotonic() >= self._next_scan_at:
                        self._scan()
                finally:
                    self._lock.release()
        return self._snapshot

    # The lock is held in all of these.

    def _list(self) -> list[tuple["os.DirEntry[str]", SampleName]]:
        try:
            with os.scandir(self._folder) as entries:
                named = [(entry, parse_file_name(entry.name)) for entry in entries]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._warn("", f"The voices in {self._folder} cannot be read: {error}")
            return []
        self._warned.discard("")
        return sorted(
            ((entry, name) for entry, name in named if name is not None and _is_text(entry.name)),
            key=lambda pair: pair[0].name,
        )

    def _scan(self) -> None:
        names: dict[str, SampleName] = {}
        files: dict[str, _Checked] = {}
        for entry, name in self._list():
            try:
                if not entry.is_file():
                    continue
                status = entry.stat()
            except OSError:
                # Gone meanwhile, or a link that leads nowhere.
                continue
            version = _Version(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._files.get(entry.name)
            names[entry.name] = name
            files[entry.name] = known if known and known.version == version else self._check(entry.name, version)
        self._warned &= {"", *files}
        if files != self._files:
            self._snapshot = _arrange(self._folder, names, files)
        self._files = {name: checked for name, checked in files.items() if checked.lasting}
        self._next_scan_at = time.monotonic() + self._rescan_s

    def _check(self, file_name: str, version: _Version) -> _Checked:
        try:
            if version.bytes_ > MAX_FILE_BYTES:
                checked = _Checked(
                    version, problem=f"It is larger than {MAX_FILE_BYTES >> 20} MiB; cut it to 6 to 30 s."
                )
            else:
                with (self._folder / file_name).open("rb") as file:
                    check_sample(file)
                    checked = _Checked(version, sha256=_sha256(file))
        except InvalidAudioError as error:
            checked = _Checked(version, problem=error.message)
        except OSError as error:
            checked = _Checked(version, problem=f"It cannot be read: {error.strerror or error}.", lasting=False)
        if checked.problem is None:
            self._warned.discard(file_name)
        else:
            self._warn(file_name, f"The voice sample {quoted(file_name)} is not used: {checked.problem}")
        return checked

    def _warn(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _logger.warning("%s", message)


def _arrange(folder: Path, names: Mapping[str, SampleName], files: Mapping[str, _Checked]) -> _Snapshot:
    samples: defaultdict[str, list[VoiceSample]] = defaultdict(list)
    created_at: dict[str, int] = {}
    languages: dict[str, SampleName] = {}
    problems: dict[str, str] = {}
    for file_name in sorted(files, key=lambda each: (names[each].voice_id, names[each].number, each)):
        name, checked = names[file_name], files[file_name]
        if checked.problem is not None:
            problems.setdefault(name.voice_id, f"{file_name}: {checked.problem}")
            continue
        samples[name.speaker].append(VoiceSample(folder / file_name, checked.sha256))
        modified_at = checked.version.modified_ns // 10**9
        created_at[name.voice_id] = min(modified_at, created_at.get(name.voice_id, modified_at))
        languages[name.voice_id] = name
    voices = [
        Voice(voice_id, name.speaker, name.language, tuple(samples[name.speaker]), created_at[voice_id])
        for voice_id, name in languages.items()
    ]
    return _Snapshot(tuple(voices), {voice: why for voice, why in problems.items() if voice not in languages})


def _write_wav(file: BinaryIO, recording: Recording) -> None:
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(recording.sample_rate_hz)
        writer.writeframes(recording.samples.astype("<i2").tobytes())


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _is_text(file_name: str) -> bool:
    """Whether a name is UTF-8: no answer in JSON could hold another."""
    try:
        file_name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _taken(voice_id: str) -> ConflictError:
    return ConflictError(
        f"There is a voice {quoted(voice_id)} already; choose another name, or delete that one first.", param="name"
    )
