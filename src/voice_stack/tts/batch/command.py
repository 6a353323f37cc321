"""``voice-stack say``."""

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from voice_stack.core.errors import InvalidRequestError, VoiceStackError, quoted
from voice_stack.core.settings import Settings
from voice_stack.tts.batch.kept import ChunkStore, KeepingEngine
from voice_stack.tts.batch.outputs import StagedSpeech
from voice_stack.tts.batch.progress import Progress
from voice_stack.tts.batch.sinks import Sink, StandardOutput
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.engine_factory import create_engine
from voice_stack.tts.scripts import OPENAI_VOICES, ScriptWriter, speakable_text
from voice_stack.tts.speech import Script, encoded_steps, text_chunks
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.utils.audio.formats import find_audio_format
from voice_stack.utils.audio.interrupts import deadly_interrupts, interrupts_between_steps
from voice_stack.utils.outputs import OutputError


@dataclass(frozen=True)
class SayOptions:
    """What the command line says."""

    target: Path | None  # None: standard output
    audio_format: str
    voice: str | None = None  # None: the default one
    language: str | None = None
    speed: float = 1.0
    seed: int | None = None
    overwrite: bool = False
    quiet: bool = False


def say_text(
    text: str, settings: Settings, options: SayOptions, sink: Sink | None = None, engine: TtsEngine | None = None
) -> int:
    """Speak a text of any length into a file; returns the exit code: 1 where it could not be made whole.

    Without a file it is spoken into ``sink``, or standard output, as it is made.

    The target gets its name when it is whole. Until then all that is spoken is kept beside it, whatever ends the
    process, and the same call goes on from there: its file is that of a call which nothing ended, to the byte where
    the engine leaves nothing to chance. Chunks are spoken anew from the first one on that is to be another, by its
    text, voice, language, speed or seed. Memory does not grow with the length of the audio.

    Raises:
        ConfigurationError: the engine is not installed.
        InvalidRequestError: there is nothing to say, or the voice cannot say it.
        VoiceStackError: the model cannot be loaded, or there is no such voice.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    text = speakable_text(text)
    engine = engine or create_engine(settings)
    job = _Job(text, settings, options, engine)
    try:
        if options.target is None:
            return job.to_sink(sink or StandardOutput(options.audio_format, settings.tts_sample_rate))
        return job.to_file(options.target)
    except OutputError as error:
        sys.stderr.write(f"voice-stack: {error}\n")
        return 1


class _Job:
    """One text."""

    def __init__(self, text: str, settings: Settings, options: SayOptions, engine: TtsEngine) -> None:
        self._text = text
        self._settings = settings
        self._options = options
        self._engine = engine
        self._format = find_audio_format(options.audio_format)

    def to_sink(self, sink: Sink) -> int:
        """Hand on the stream as it is made; returns the exit code."""
        try:
            # Nothing that is half done stays behind, and silence is wanted at once.
            with deadly_interrupts(), sink.opened():
                script = self._script()
                with closing(self._progress(script, "speech")) as progress:
                    self._speak(script, self._keeping(None, progress), sink.write, sink.audio_format, sink.rate_hz)
        except BrokenPipeError:
            # Whoever listened has heard enough.
            return 1
        return 0

    def to_file(self, target: Path) -> int:
        """Make the file, or what can be made of it; returns the exit code."""
        rate_hz = self._settings.tts_sample_rate
        with closing(StagedSpeech(target, self._format, overwrite=self._options.overwrite)) as staged:
            script = self._script()
            with (
                closing(self._progress(script, target.name)) as progress,
                closing(ChunkStore(staged.chunks, lambda kept: progress.note(_changed(target, kept)))) as store,
            ):
                if not store.is_empty:
                    progress.note(f"{target}: going on where an earlier run stopped")
                engine = self._keeping(store, progress)
                try:
                    duration_s = self._speak(script, engine, staged.write, self._format.name, rate_hz)
                except KeyboardInterrupt:
                    progress.note(f"{target}: stopped{_kept(store)}")
                    raise
                except InvalidRequestError as error:
                    if error.code == "nothing_to_say":
                        staged.discard()
                    raise
                except VoiceStackError as error:
                    raise OutputError(f"{target}: {error} It was at {quoted(engine.text)}{_kept(store)}") from error
            staged.publish(round(duration_s * rate_hz))
        if not self._options.quiet:
            sys.stdout.write(f"{target}: {duration_s:.1f} s\n")
            sys.stdout.flush()
        return 0

    def _script(self) -> Script:
        self._engine.load()
        library = VoiceLibrary(self._settings.tts_voice_dir)
        catalogue = VoiceCatalogue(self._engine, library, reserved=OPENAI_VOICES)
        return ScriptWriter(self._settings, self._engine, catalogue).write(
            self._text,
            voice=self._options.voice,
            language=self._options.language,
            speed=self._options.speed,
            seed=self._options.seed,
        )

    def _progress(self, script: Script, title: str) -> Progress:
        def total() -> int:
            # In one language: telling each sentence's takes longer than all the rest, and changes the sum by little.
            plain = replace(script, language_of=None)
            return sum(len(chunk.text) for chunk in text_chunks(self._engine, plain))

        return Progress(title, total, quiet=self._options.quiet)

    def _keeping(self, store: ChunkStore | None, progress: Progress) -> KeepingEngine:
        return KeepingEngine(self._engine, store, model=self._settings.tts_model, on_chunk=progress.update)

    def _speak(
        self, script: Script, engine: TtsEngine, write: Callable[[bytes], None], audio_format: str, rate_hz: int
    ) -> float:
        """Returns the length in seconds."""
        duration_s = 0.0
        with interrupts_between_steps() as check:
            for step in encoded_steps(engine, script, audio_format=audio_format, sample_rate_hz=rate_hz):
                check()
                if step is not None:
                    write(step.data)
                    duration_s += step.duration_s
            check()
        return duration_s


def _kept(store: ChunkStore) -> str:
    return "" if store.is_empty else "; what is spoken is kept, and the same command goes on from there"


def _changed(target: Path, kept: int) -> str:
    what = f"{target}: the text, the voice or an option is another than in the earlier run: "
    return what + (f"what comes after the first {kept} chunks is spoken anew" if kept else "starting anew")
