"""``voice-stack voices``."""

import json
import sys

from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import ANY_LANGUAGE, TtsEngine, Voice
from voice_stack.tts.engine_factory import create_engine
from voice_stack.tts.schemas.voices import VoiceInfo
from voice_stack.tts.scripts import OPENAI_VOICES, ScriptWriter
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.tts.voices.library import VoiceLibrary


def list_voices(settings: Settings, *, as_json: bool, engine: TtsEngine | None = None) -> int:
    """Print every voice, the default one first; returns the exit code.

    The log tells of recordings that cannot be used.

    Raises:
        ConfigurationError: the engine is not installed.
        VoiceStackError: the engine has to be loaded to know its voices, and cannot be.
    """
    engine = engine or create_engine(settings)
    # Some know their voices from the disk, others only from their model.
    if not engine.voices():
        engine.load()
    catalogue = VoiceCatalogue(engine, VoiceLibrary(settings.tts_voice_dir), reserved=OPENAI_VOICES)
    voices = ScriptWriter(settings, engine, catalogue).voices()
    if as_json:
        shared = engine.capabilities.languages
        listed = [VoiceInfo.of(voice, engine=engine.name, languages=shared).model_dump() for voice in voices]
        sys.stdout.write(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
        return 0
    rows = [("VOICE", "SPEAKER", "SOURCE", "LANGUAGES")]
    rows += [(voice.id, voice.name, _source(voice, engine), _languages(voice, engine)) for voice in voices]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
    return 0


def _source(voice: Voice, engine: TtsEngine) -> str:
    count = len(voice.samples)
    return f"{count} sample{'s' * (count > 1)}" if count else engine.name


def _languages(voice: Voice, engine: TtsEngine) -> str:
    own = [] if voice.language == ANY_LANGUAGE else [voice.language]
    return " ".join(dict.fromkeys([*own, *engine.capabilities.languages]))
