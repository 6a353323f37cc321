"""``voice-stack say -``: a text that is spoken while it is still coming."""

import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from voice_stack.core.settings import Settings
from voice_stack.tts.batch.arrivals import LineEnds
from voice_stack.tts.batch.command import SayOptions
from voice_stack.tts.batch.sinks import Sink, StandardOutput
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.engine_factory import create_engine
from voice_stack.tts.incremental.feed import Mark, TextFeed
from voice_stack.tts.incremental.utterance import Utterance
from voice_stack.tts.scripts import OPENAI_VOICES, ScriptWriter
from voice_stack.tts.speech import SpeechEncoder, SpeechPiece
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.utils.audio.interrupts import deadly_interrupts
from voice_stack.utils.outputs import OutputError

MOST_PIECES = 16
"""Pieces of the text that are read ahead of what is spoken, of at most 4 kB."""

LULL_AFTER_S = 0.5
LULL_S = 0.3
"""After so long with nothing more to say so much silence follows: encoders and players hold back what is less."""


def say_arriving(
    arrivals: Iterator[str | None],
    settings: Settings,
    options: SayOptions,
    sink: Sink | None = None,
    engine: TtsEngine | None = None,
) -> int:
    """Speak a text as it comes into ``sink``, or standard output; returns the exit code.

    Args:
        arrivals: its pieces, and None where it ends a line and pauses: what came until then is said at once.

    Raises:
        ConfigurationError: the engine is not installed, or the text cannot be read.
        InvalidRequestError: there is nothing to say, or the voice cannot say it.
        VoiceStackError: the model cannot be loaded, there is no such voice, or the loudspeaker stopped.
    """
    engine = engine or create_engine(settings)
    sink = sink or StandardOutput(options.audio_format, settings.tts_sample_rate)
    try:
        # Nothing that is half done stays behind, and silence is wanted at once.
        with deadly_interrupts(), sink.opened():
            _speak(arrivals, settings, options, sink, engine)
    except BrokenPipeError:
        # Whoever listened has heard enough.
        return 1
    except OutputError as error:
        sys.stderr.write(f"voice-stack: {error}\n")
        return 1
    return 0


def _speak(
    arrivals: Iterator[str | None], settings: Settings, options: SayOptions, sink: Sink, engine: TtsEngine
) -> None:
    engine.load()
    catalogue = VoiceCatalogue(engine, VoiceLibrary(settings.tts_voice_dir), reserved=OPENAI_VOICES)
    script = ScriptWriter(settings, engine, catalogue).write(
        "", voice=options.voice, language=options.language, speed=options.speed, seed=options.seed
    )
    text = _Arriving(arrivals)
    utterance = Utterance(engine, script, sample_rate_hz=sink.rate_hz, text=text)
    with closing(SpeechEncoder(sink.audio_format, sink.rate_hz, speed=options.speed)) as encoder:
        text.start()
        lull = SpeechPiece(np.zeros(round(LULL_S * sink.rate_hz), np.float32), LULL_S)
        held_back = False
        while True:
            text.changed.clear()
            text.check()
            for piece in utterance.steps():
                if piece is not None:
                    sink.write(encoder.encode(piece).data)
                    held_back = True
            if utterance.is_over:
                break
            wait_s = utterance.wait_s()
            if wait_s is not None or not held_back:
                text.changed.wait(wait_s)
            elif not text.changed.wait(LULL_AFTER_S):
                sink.write(encoder.encode(lull).data)
                held_back = False
        sink.write(encoder.finish().data)


class _Arriving(TextFeed):
    """The text, which a thread reads; it waits where much of it is not spoken yet."""

    def __init__(self, arrivals: Iterator[str | None]) -> None:
        self.changed = threading.Event()
        """Set when there is more."""
        super().__init__(on_change=self.changed.set)
        self._arrivals = arrivals
        self._room = threading.Semaphore(MOST_PIECES)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin to read."""
        # A daemon, as nobody can wake it from a pipe in which nothing comes.
        threading.Thread(target=self._run, name="text", daemon=True).start()

    def check(self) -> None:
        """Raise why the text could not be read to its end."""
        if self._error is not None:
            raise self._error

    def append(self, text: str) -> None:
        if text:
            self._room.acquire()
            super().append(text)

    def read(self) -> str | Mark | None:
        piece = super().read()
        if isinstance(piece, str):
            self._room.release()
        return piece

    def _run(self) -> None:
        line_ends = LineEnds()
        try:
            for arrival in self._arrivals:
                if arrival is None:
                    self.append(line_ends.flush())
                    self.flush()
                else:
                    self.append(line_ends.add(arrival))
            self.append(line_ends.flush())
            self.commit()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._error = error
            self.changed.set()
