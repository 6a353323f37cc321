"""One Piper model in memory, which gives the beginning of a sentence before the rest is made.

Most of the time goes into the vocoder, which computes each frame (12 ms) from those beside it: so its model is cut off
and run piece by piece, each with the context that it reaches on both sides. The pieces equal the whole to within the
error of float32. (Piper's own ``export_onnx_streaming`` cuts a model in the same place, from a checkpoint.)
"""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voice_stack.tts.engine.onnx_cut import Halves, cut_model

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from piper import PiperVoice

FIRST_FRAMES = 32
"""Frames in a sentence's first piece, 0.37 s; each further one has twice those of the one before."""

CONTEXT_FRAMES = 14
"""Frames that the vocoder sees on each side of those it is asked for.

Its convolutions reach 10 frames in voices of low and medium quality, and not quite 14 in those of high quality.
"""

_NOISE_W = 0.0
"""Variation of the rhythm (voices ask for 0.8): none, so that a text has the same length each time, in each format."""

# espeak is one for the whole process, and other phonemizers do not say that they can be shared.
_phonemizing = threading.Lock()


class PiperModel:
    """Speaks; several threads may do so at a time.

    Args:
        voice: of a whole model; or of the first of ``halves``.
        vocoder: of the second.
    """

    def __init__(
        self, voice: "PiperVoice", halves: Halves | None = None, vocoder: "InferenceSession | None" = None
    ) -> None:
        self._voice = voice
        self._halves = halves
        self._vocoder = vocoder

    @property
    def sample_rate_hz(self) -> int:
        """Of what ``say`` gives."""
        return int(self._voice.config.sample_rate)

    def say(self, text: str, speaker: int | None, *, early: bool = False) -> Iterator[NDArray[np.float32]]:
        """Say a text: samples in [-1, 1], shape (samples,).

        Args:
            speaker: its number; None: the model's own choice, or its only one.
            early: give the beginning before the rest is made, which makes the whole a little later.
        """
        with _phonemizing:
            sentences = self._voice.phonemize(text)
        for phonemes in sentences:
            if phonemes:
                for samples in self._speak(self._voice.phonemes_to_ids(phonemes), speaker, early=early):
                    yield np.clip(samples, -1.0, 1.0, dtype=np.float32)
                early = False

    def _speak(self, phoneme_ids: list[int], speaker: int | None, *, early: bool) -> Iterator[NDArray[np.float32]]:
        from piper.config import SynthesisConfig

        if self._halves is None or self._vocoder is None:
            config = SynthesisConfig(speaker_id=speaker, noise_w_scale=_NOISE_W)
            yield np.atleast_1d(np.asarray(self._voice.phoneme_ids_to_audio(phoneme_ids, config)))
            return
        names = (self._halves.latents, *self._halves.others)
        latents, *others = self._voice.session.run(list(names), self._inputs(phoneme_ids, speaker))
        frames = latents.shape[2]
        for start, stop in _pieces(frames) if early else [(0, frames)]:
            begin, end = max(0, start - CONTEXT_FRAMES), min(frames, stop + CONTEXT_FRAMES)
            seen = (latents[:, :, begin:end], *others)
            samples = self._vocoder.run(None, dict(zip(names, seen, strict=True)))[0].ravel()
            hop = samples.size // (end - begin)
            yield samples[(start - begin) * hop : (stop - begin) * hop]

    def _inputs(self, phoneme_ids: list[int], speaker: int | None) -> Mapping[str, NDArray[Any]]:
        config = self._voice.config
        inputs: dict[str, NDArray[Any]] = {
            "input": np.array([phoneme_ids], np.int64),
            "input_lengths": np.array([len(phoneme_ids)], np.int64),
            "scales": np.array([config.noise_scale, config.length_scale, _NOISE_W], np.float32),
        }
        if config.num_speakers > 1:
            # Older releases of Piper know of no other default.
            default = getattr(config, "default_speaker_id", 0)
            inputs["sid"] = np.array([default if speaker is None else speaker], np.int64)
        return inputs


def load_model(model_path: Path, config_path: Path, *, use_cuda: bool, threads: int = 0) -> PiperModel:
    """Load a model, in halves where it is to run on the processor and can be cut.

    Args:
        threads: of the second half; 0: as many as there are processors.
    """
    from piper import PiperVoice
    from piper.config import PiperConfig

    halves = None if use_cuda else cut_model(model_path.read_bytes())
    if halves is None:
        return PiperModel(PiperVoice.load(model_path, config_path, use_cuda=use_cuda))
    config = PiperConfig.from_dict(json.loads(config_path.read_text(encoding="utf-8")))
    # The encoder is thousands of small nodes: a second thread gains a sixth, and two sentences at a time as much as
    # there are processors.
    encoder = _session(halves.encoder, threads=1)
    return PiperModel(PiperVoice(session=encoder, config=config), halves, _session(halves.vocoder, threads=threads))


def _session(model: bytes, *, threads: int) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin after a run would take the processor from the sentences of others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _pieces(frames: int) -> Iterator[tuple[int, int]]:
    start, size = 0, FIRST_FRAMES
    while frames - start >= 2 * size:
        yield start, start + size
        start, size = start + size, 2 * size
    yield start, frames
