"""Speech that is kept on disk as it is made, so that nothing is spoken twice."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from voice_stack import __version__
from voice_stack.tts.engine.base import AudioChunk, SynthesisOptions, TtsEngine, Voice
from voice_stack.utils.outputs import writing

_SAMPLE = np.dtype("<f4")


class ChunkStore:
    """A file with the speech of a text, one record for each chunk that was spoken to its end, in their order.

    Records are taken until one is not what is wanted: there the file is cut, and grows again by what is added. A
    record says which chunk it is, and proves itself by a checksum: what a crash left half written counts for nothing.

    Args:
        on_change: called, with the number of chunks taken until then, where a record turns out to be another chunk's.

    Raises:
        OutputError: from every method, where the file cannot be read or written.
    """

    def __init__(self, path: Path, on_change: Callable[[int], None]) -> None:
        self._path = path
        self._on_change = on_change
        self._taken = 0
        with writing(path):
            self._file = open(path, "a+b")  # noqa: SIM115, PTH123 - closed by close()
            self._size = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
        self._taking = self._size > 0

    def close(self) -> None:
        """Close the file."""
        # What a full disk did not take is tried again at the close.
        with suppress(OSError):
            self._file.close()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return self._size == 0

    def take(self, key: str) -> Sequence[AudioChunk] | None:
        """The pieces of the next chunk; None where they are not here, nor those of any later chunk."""
        if not self._taking:
            return None
        with writing(self._path):
            start = self._file.tell()
            found = self._read(key)
            if found is None:
                self._taking = False
                self._size = self._file.truncate(start)
                self._file.seek(start)
        self._taken += found is not None
        return found

    def add(self, key: str, pieces: Sequence[AudioChunk]) -> None:
        """Keep the next chunk, down to the disk."""
        audio = b"".join(piece.samples.astype(_SAMPLE, copy=False).tobytes() for piece in pieces)
        sizes = [(piece.sample_rate_hz, piece.samples.size) for piece in pieces]
        header = json.dumps({"key": key, "pieces": sizes, "crc32": zlib.crc32(audio)})
        with writing(self._path):
            self._size += self._file.write(header.encode() + b"\n" + audio)
            self._file.flush()
            os.fsync(self._file.fileno())

    def _read(self, key: str) -> Sequence[AudioChunk] | None:
        try:
            header = json.loads(self._file.readline())
            if header["key"] != key:
                self._on_change(self._taken)
                return None
            audio = self._file.read(sum(size for _, size in header["pieces"]) * _SAMPLE.itemsize)
            if header["crc32"] != zlib.crc32(audio):
                return None
            samples = np.frombuffer(audio, _SAMPLE).astype(np.float32, copy=False)
            ends = np.cumsum([size for _, size in header["pieces"]])
            parts = np.split(samples, ends[:-1])
            return [AudioChunk(part, rate_hz) for part, (rate_hz, _) in zip(parts, header["pieces"], strict=True)]
        except (ValueError, KeyError, TypeError):
            return None


class KeepingEngine(TtsEngine):
    """Speaks with another engine, but for the chunks that a store has; what is spoken goes into the store.

    Args:
        store: None: nothing is kept.
        model: tells the engine's models apart.
        on_chunk: called after each chunk with its number of characters, and whether it was in the store.
    """

    def __init__(
        self, engine: TtsEngine, store: ChunkStore | None, *, model: str, on_chunk: Callable[[int, bool], None]
    ) -> None:
        self.name = engine.name
        self.capabilities = engine.capabilities
        self.text = ""
        """What is being spoken."""
        self._engine = engine
        self._store = store
        self._model = model
        self._on_chunk = on_chunk

    @property
    def model(self) -> str:
        return self._engine.model

    @property
    def device(self) -> str:
        return self._engine.device

    def load(self) -> None:
        self._engine.load()

    def unload(self) -> None:
        self._engine.unload()

    def voices(self) -> Sequence[Voice]:
        return self._engine.voices()

    def max_chars(self, language: str) -> int | None:
        return self._engine.max_chars(language)

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        self.text = text
        key = self._key(text, options)
        kept = self._store.take(key) if self._store is not None else None
        if kept is not None:
            yield from kept
        else:
            pieces = []
            for piece in self._engine.synthesize(text, options):
                pieces.append(piece)
                yield piece
            if self._store is not None:
                self._store.add(key, pieces)
        self._on_chunk(len(text), kept is not None)

    def _key(self, text: str, options: SynthesisOptions) -> str:
        """Differs wherever the speech may differ."""
        voice = options.voice
        # A sample is known by what is in it, a voice of the engine by when its file was made.
        source = sorted(sample.sha256 for sample in voice.samples) or voice.created_at
        about = (__version__, self._engine.name, self._model, voice.id, source)
        how = (text, options.language, options.seed)
        return hashlib.sha256(json.dumps([about, how]).encode()).hexdigest()
