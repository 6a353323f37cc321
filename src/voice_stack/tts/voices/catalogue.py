"""Every voice that can be asked for: the engine's own, and those cloned from recordings."""

from collections.abc import Collection, Sequence
from typing import BinaryIO

from voice_stack.core.errors import ConflictError, InvalidRequestError, VoiceNotFoundError, quoted
from voice_stack.tts.engine.base import TtsEngine, Voice
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.tts.voices.names import collision_key, name_new_voice, parse_voice_id

_NAMED = 50
"""Voices that a message names at most: a model may have 900."""


class VoiceCatalogue:
    """The voices of an engine and, where it can clone, of a library. Its methods block.

    Args:
        reserved: names with a meaning of their own, in lower case, that no voice can have.
    """

    def __init__(self, engine: TtsEngine, library: VoiceLibrary, *, reserved: Collection[str]) -> None:
        self._engine = engine
        self._library = library
        self._reserved = reserved

    def voices(self) -> Sequence[Voice]:
        """The cloned ones, then the engine's own; of two with one id the cloned one."""
        own = self._engine.voices()
        if not self._engine.capabilities.cloning:
            return own
        cloned = self._library.voices()
        ids = {voice.id for voice in cloned}
        return [*cloned, *(voice for voice in own if voice.id not in ids)]

    def look_again(self) -> None:
        """See at once what has changed in the folders of the voices; ``voices`` does by itself, a little later."""
        self._engine.look_again()
        if self._engine.capabilities.cloning:
            self._library.look_again()

    def not_found(self, name: str, *, param: str = "voice") -> VoiceNotFoundError:
        """The error for a name that no voice has: why its recording cannot be used, or which voices there are."""
        problems = self._library.problems() if self._engine.capabilities.cloning else {}
        for voice_id, problem in problems.items():
            if name in {voice_id, parse_voice_id(voice_id).speaker}:
                return VoiceNotFoundError(f"The voice {quoted(name)} cannot be used. {problem}", param=param)
        ids = [voice.id for voice in self.voices()]
        names = ", ".join([*ids[:_NAMED], *(["..."] if len(ids) > _NAMED else [])]) or "no voice"
        return VoiceNotFoundError(f"There is no voice {quoted(name)} here; this service has: {names}.", param=param)

    def add(self, name: str, language: str | None, source: BinaryIO) -> Voice:
        """Make a voice of a recording.

        Args:
            language: of the recording; None: the one that the name ends in, else English.
            source: a seekable file of any format.

        Raises:
            InvalidRequestError: the engine does not clone, or the name or the language cannot be.
            InvalidAudioError: the recording is no good.
            ConflictError: the name is taken.
            UnavailableError: the recording cannot be kept.
        """
        self.check_cloning()
        wanted = name_new_voice(name, language)
        keys = {collision_key(wanted.speaker), collision_key(wanted.voice_id)}
        if keys & set(self._reserved):
            raise ConflictError(
                f"The name {quoted(wanted.speaker)} is one of OpenAI's own, which mean the default voice here; choose "
                "another.",
                param="name",
            )
        if keys & {collision_key(text) for voice in self._engine.voices() for text in (voice.id, voice.name)}:
            raise ConflictError(
                f"The name {quoted(wanted.speaker)} belongs to a voice of the engine; choose another.", param="name"
            )
        return self._library.add(name, language, source)

    def check_cloning(self) -> None:
        """See whether voices can be made at all.

        Raises:
            InvalidRequestError: the engine does not clone.
        """
        if not self._engine.capabilities.cloning:
            raise InvalidRequestError(
                f"The engine {self._engine.name!r} does not clone voices. Ask the operator to set TTS_ENGINE=coqui, "
                "or to put a voice of this engine into the folder of the voices.",
                code="cloning_not_supported",
            )

    def remove(self, voice_id: str) -> None:
        """Delete a cloned voice.

        Raises:
            VoiceNotFoundError: there is no such voice.
            ConflictError: it is no cloned one.
            UnavailableError: its files cannot be removed.
        """
        if any(voice.id == voice_id for voice in self._engine.voices()):
            raise ConflictError(
                f"The voice {quoted(voice_id)} belongs to the engine; only voices made from recordings can be deleted.",
                param="voice_id",
            )
        if voice_id.lower() in self._reserved:
            raise ConflictError(
                f"{quoted(voice_id)} stands for the default voice and cannot be deleted; delete a voice by its own id.",
                param="voice_id",
            )
        if not self._engine.capabilities.cloning:
            raise self.not_found(voice_id, param="voice_id")
        self._library.remove(voice_id)
