"""What people said to allow their voice to be cloned: kept for the operator, never served."""

import json
import logging
import re
import shutil
import threading
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from voice_stack.core.errors import InvalidRequestError, NotFoundError, quoted
from voice_stack.tts.voices.samples import check_audible, decode_recording
from voice_stack.tts.voices.storage import sync_folder, writing
from voice_stack.utils.temporary import written

_logger = logging.getLogger(__name__)

ID_PREFIX = "cons_"
MAX_LABEL_CHARS = 256

_ID = re.compile(rf"{ID_PREFIX}[0-9a-f]{{32}}")
_BCP_47 = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ABOUT = ".json"
_RECORDING = ".recording"
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True)
class Consent:
    """What is known of one recording."""

    id: str
    name: str  # the label that it was given
    language: str  # BCP 47, of what is said
    created_at: int  # Unix time in seconds


class ConsentStore:
    """The consents in one folder. Its methods block, and may be called from any thread.

    Each is the uploaded file, as it came, beside a JSON file that is written after it and removed before it.

    Args:
        folder: need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def create(self, name: str, language: str, recording: BinaryIO) -> Consent:
        """Keep a recording.

        Args:
            recording: a seekable file of any format, of 120 s at most.

        Raises:
            InvalidRequestError: the label or the language cannot be.
            InvalidAudioError: the recording cannot be decoded, is silent or too long.
            UnavailableError: the folder cannot be written.
        """
        label = _checked_label(name)
        if not _BCP_47.fullmatch(language):
            raise InvalidRequestError(
                f"The language {quoted(language)} is no BCP 47 tag; send one such as en-US.", param="language"
            )
        check_audible(decode_recording(recording, param="recording"), param="recording")
        consent = Consent(f"{ID_PREFIX}{uuid.uuid4().hex}", label, language, int(time.time()))
        with writing(self.folder):
            self.folder.chmod(_PRIVATE_FOLDER)
            recording.seek(0)
            with written(self.folder, lambda file: shutil.copyfileobj(recording, file)) as uploaded:
                uploaded.replace(self.folder / f"{consent.id}{_RECORDING}")
            self._write(consent)
        return consent

    def list(self) -> Sequence[Consent]:
        """Every consent, the oldest first."""
        found = [self._read(path) for path in self.folder.glob(f"{ID_PREFIX}*{_ABOUT}")]
        return sorted((consent for consent in found if consent), key=lambda consent: (consent.created_at, consent.id))

    def get(self, consent_id: str) -> Consent:
        """One consent.

        Raises:
            NotFoundError: there is none of that id.
        """
        # What is not built like an id of ours never becomes part of a path.
        consent = self._read(self._path(consent_id)) if _ID.fullmatch(consent_id) else None
        if consent is None:
            raise NotFoundError(
                f"There is no consent {quoted(consent_id)} here; GET /audio/voice_consents lists those that are.",
                param="consent",
            )
        return consent

    def rename(self, consent_id: str, name: str) -> Consent:
        """Give a consent another label.

        Raises:
            NotFoundError: there is none of that id.
            InvalidRequestError: the label cannot be.
            UnavailableError: the folder cannot be written.
        """
        label = _checked_label(name)
        with self._lock:
            consent = replace(self.get(consent_id), name=label)
            with writing(self.folder):
                self._write(consent)
        return consent

    def remove(self, consent_id: str) -> None:
        """Delete a consent and its recording. Voices that were made with it stay.

        Raises:
            NotFoundError: there is none of that id.
            UnavailableError: the folder cannot be written.
        """
        with self._lock:
            self.get(consent_id)
            with writing(self.folder):
                self._path(consent_id).unlink(missing_ok=True)
                self._path(consent_id).with_suffix(_RECORDING).unlink(missing_ok=True)
                sync_folder(self.folder)

    def _path(self, consent_id: str) -> Path:
        return self.folder / f"{consent_id}{_ABOUT}"

    def _write(self, consent: Consent) -> None:
        about = json.dumps(asdict(consent), ensure_ascii=False).encode()
        with written(self.folder, lambda file: file.write(about)) as temporary:
            temporary.replace(self._path(consent.id))
        sync_folder(self.folder)

    def _read(self, path: Path) -> Consent | None:
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            return Consent(path.stem, str(about["name"]), str(about["language"]), int(about["created_at"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            _logger.warning("the consent %s cannot be read: %s", path.name, error)
            return None


def _checked_label(name: str) -> str:
    label = name.strip()
    if not label or len(label) > MAX_LABEL_CHARS:
        raise InvalidRequestError(f"Send a name of 1 to {MAX_LABEL_CHARS} characters.", param="name")
    if any(unicodedata.category(character)[0] == "C" for character in label):
        raise InvalidRequestError("The name holds characters that nobody sees; leave them out.", param="name")
    return label
