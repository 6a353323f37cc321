"""Engines for tests that are about something else: they make what they are told, when they are told."""

import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from voice_stack.asr.engine import base as asr
from voice_stack.core.errors import EngineError, VoiceStackError
from voice_stack.tts.engine import base as tts


class Gate:
    """Holds an engine's steps back until they are let through, and counts them."""

    def __init__(self, *, opened: bool = True) -> None:
        self._open = threading.Event()
        self._passes = threading.Semaphore(0)
        self.reached = threading.Event()
        self.closed = threading.Event()
        self.steps = 0
        if opened:
            self._open.set()

    def open(self) -> None:
        """Let every step through from now on."""
        self._open.set()

    def shut(self) -> None:
        """Hold the steps back again, and forget whether one was reached."""
        self._open.clear()
        self.reached.clear()

    def step_once(self) -> None:
        """Let a single step through, the one that waits or the next."""
        self._passes.release()

    def step(self) -> None:
        """Called by the engine at the start of each step."""
        self.steps += 1
        self.reached.set()
        for _ in range(3000):
            if self._open.is_set() or self._passes.acquire(timeout=0.01):
                return
        raise AssertionError("the test never opened the gate")


class FakeAsrEngine(asr.AsrEngine):
    """Hears the words it was given, one segment of a second each."""

    name = "fake"

    def __init__(
        self,
        words: Sequence[str] = ("hello", "world"),
        *,
        gate: Gate | None = None,
        load_error: VoiceStackError | None = None,
        load_gate: Gate | None = None,
        unload_gate: Gate | None = None,
        fail_at: int | None = None,
        languages: tuple[str, ...] = ("en", "de", "fr"),
        can_detect: bool = False,
        can_translate: bool = False,
    ) -> None:
        self._words = words
        self.gate = gate or Gate()
        self.load_error = load_error
        self._load_gate = load_gate or Gate()
        self._unload_gate = unload_gate or Gate()
        self._fail_at = fail_at
        self._languages = languages
        self._can_detect = can_detect
        self._can_translate = can_translate
        self.options: list[asr.TranscribeOptions] = []
        self.loads = 0
        self.unloads = 0

    @property
    def model(self) -> str:
        return "fake-base"

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def capabilities(self) -> asr.Capabilities:
        return asr.Capabilities(
            languages=self._languages,
            word_timestamps=True,
            detect_language=self._can_detect,
            translate=self._can_translate,
        )

    def load(self) -> None:
        self._load_gate.step()
        if self.load_error is not None:
            raise self.load_error
        self.loads += 1

    def unload(self) -> None:
        self._unload_gate.step()
        self.unloads += 1

    def transcribe(self, audio: Iterable[asr.AudioBlock], options: asr.TranscribeOptions) -> Iterator[asr.Step | None]:
        self.options.append(options)
        try:
            duration_s = 0.0
            for block in audio:
                duration_s += block.size / asr.SAMPLE_RATE_HZ
                yield None
            yield asr.Language(options.language or "en", 0.9)
            for number, word in enumerate(self._words):
                self.gate.step()
                if number == self._fail_at:
                    raise EngineError("The fake engine was told to fail.")
                words = (asr.Word(number, number + 1, f" {word}", 0.9),) if options.word_timestamps else ()
                yield asr.Segment(
                    number, number + 1, f" {word}", (number,), -0.1, 1.0, 0.0, options.temperature, 0, words
                )
            yield asr.Position(duration_s)
        finally:
            self.gate.closed.set()

    def detect_language(self, audio: Iterable[asr.AudioBlock]) -> Iterator[asr.Language | None]:
        for _ in audio:
            yield None
        self.gate.step()
        if self._words:
            yield asr.Language(self._languages[0], 0.9)


class FakeTtsEngine(tts.TtsEngine):
    """Says each word as a tone of 0.1 seconds."""

    name = "fake"
    capabilities = tts.Capabilities()
    SAMPLE_RATE_HZ = 24_000

    def __init__(
        self,
        *,
        gate: Gate | None = None,
        load_error: VoiceStackError | None = None,
        load_gate: Gate | None = None,
        unload_gate: Gate | None = None,
        fail_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self.gate = gate or Gate()
        self.load_error = load_error
        self._load_gate = load_gate or Gate()
        self._unload_gate = unload_gate or Gate()
        self._fail_at = fail_at
        self._error = error or EngineError("The fake engine was told to fail.")
        self.said: list[tuple[str, tts.SynthesisOptions]] = []
        self.loads = 0
        self.unloads = 0

    @property
    def model(self) -> str:
        return "fake-tts"

    @property
    def device(self) -> str:
        return "cpu"

    def load(self) -> None:
        self._load_gate.step()
        if self.load_error is not None:
            raise self.load_error
        self.loads += 1

    def unload(self) -> None:
        self._unload_gate.step()
        self.unloads += 1

    def voices(self) -> Sequence[tts.Voice]:
        return [
            tts.Voice("en_US-ann-medium", "ann", "en-US"),
            tts.Voice("de_DE-bert-low", "bert", "de-DE"),
            tts.Voice("en_GB-cleo-high", "cleo", "en-GB"),
        ]

    def synthesize(self, text: str, options: tts.SynthesisOptions) -> Iterator[tts.AudioChunk]:
        try:
            self.gate.step()
            if len(self.said) == self._fail_at:
                raise self._error
            self.said.append((text, options))
            time = np.arange(round(0.1 * len(text.split()) * self.SAMPLE_RATE_HZ)) / self.SAMPLE_RATE_HZ
            yield tts.AudioChunk((0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), self.SAMPLE_RATE_HZ)
        finally:
            self.gate.closed.set()


class CloningEngine(FakeTtsEngine):
    """Speaks with any voice that it is given samples of."""

    capabilities = tts.Capabilities(cloning=True, languages=("en", "de", "fr"))

    def voices(self) -> Sequence[tts.Voice]:
        return [tts.Voice("Claribel Dervla", "Claribel Dervla", tts.ANY_LANGUAGE)]
