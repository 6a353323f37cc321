"""What XTTS knows of a speaker: computed once from the samples, kept on disk and, the latest of them, in memory."""

import hashlib
import logging
import os
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voice_stack.tts.engine.base import VoiceSample
from voice_stack.utils.audio.isolation import decode_isolated
from voice_stack.utils.temporary import sweep, written

_logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 22_050
"""What the conditioning encoder takes."""

MAX_IN_MEMORY = 64
"""Speakers kept in memory, 130 kB each."""

MAX_ON_DISK = 1000
"""Speakers kept on disk; the one that was not written for the longest time goes first."""

_FORMAT = "1"
"""Part of each file's name: changed when the way of computing changes."""


@dataclass(frozen=True)
class Speaker:
    """What a speaker sounds like to the model. Tensors of float32 on its device."""

    conditioning: Tensor
    """Of the GPT, shape (1, 32, channels)."""
    embedding: Tensor
    """Of the vocoder, shape (1, 512, 1)."""


class SpeakerCache:
    """Computes speakers from their samples, each once.

    Args:
        model: coqui's ``Xtts``.
        model_id: tells checkpoints apart.
        folder: where computed speakers are kept.
    """

    def __init__(self, model: nn.Module, model_id: str, folder: Path) -> None:
        self._model = model
        self._model_id = model_id
        self._folder = folder
        sweep(folder)
        self._speakers: OrderedDict[str, Speaker] = OrderedDict()

    def speaker(self, samples: Sequence[VoiceSample]) -> Speaker:
        """The speaker of these samples, which count alike whatever their order.

        Raises:
            InvalidAudioError: a sample cannot be decoded.
            OSError: it cannot be read.
        """
        ordered = sorted(samples, key=lambda sample: sample.sha256)
        parts = (_FORMAT, self._model_id, *(sample.sha256 for sample in ordered))
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        found = self._speakers.get(key)
        if found is None:
            found = self._read(key)
            if found is None:
                found = self._compute(ordered)
                self._write(key, found)
            self._speakers[key] = found
            if len(self._speakers) > MAX_IN_MEMORY:
                self._speakers.popitem(last=False)
        self._speakers.move_to_end(key)
        return found

    def _compute(self, samples: Sequence[VoiceSample]) -> Speaker:
        """As ``Xtts.get_conditioning_latents`` does, but each sample has its share of the GPT's conditioning.

        Upstream joins the samples and takes the beginning: of two long ones only the first would count.
        """
        config = self._model.config
        share_s = max(config.gpt_cond_chunk_len, config.gpt_cond_len // len(samples))
        embeddings, conditioning = [], []
        for sample in samples:
            audio = torch.from_numpy(_decode(sample.path, config.max_ref_len))[None].to(self._model.device)
            embeddings.append(self._model.get_speaker_embedding(audio, SAMPLE_RATE_HZ))
            conditioning.append(
                self._model.get_gpt_cond_latents(
                    audio, SAMPLE_RATE_HZ, length=share_s, chunk_length=config.gpt_cond_chunk_len
                )
            )
        with torch.inference_mode():
            return Speaker(torch.stack(conditioning).mean(dim=0), torch.stack(embeddings).mean(dim=0))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _read(self, key: str) -> Speaker | None:
        try:
            with self._path(key).open("rb") as file, np.load(file, allow_pickle=False) as kept:
                arrays = [torch.from_numpy(kept[name]) for name in ("conditioning", "embedding")]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            _logger.warning("the kept speaker %s cannot be read and is computed again: %s", self._path(key), error)
            return None
        conditioning, embedding = (array.to(self._model.device) for array in arrays)
        return Speaker(conditioning, embedding)

    def _write(self, key: str, speaker: Speaker) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            arrays = {
                "conditioning": speaker.conditioning.float().cpu().numpy(),
                "embedding": speaker.embedding.float().cpu().numpy(),
            }
            with written(self._folder, lambda file: np.savez(file, **arrays)) as temporary:
                temporary.replace(self._path(key))
            self._prune()
        except OSError as error:
            _logger.warning("a speaker cannot be kept in %s and will be computed again: %s", self._folder, error)

    def _prune(self) -> None:
        with os.scandir(self._folder) as entries:
            kept = sorted((entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(".npz"))
        for _, path in kept[:-MAX_ON_DISK]:
            Path(path).unlink(missing_ok=True)


def _decode(path: Path, most_s: int) -> NDArray[np.float32]:
    blocks: list[NDArray[np.float32]] = []
    wanted = most_s * SAMPLE_RATE_HZ
    with path.open("rb") as source, closing(decode_isolated(source, sample_rate_hz=SAMPLE_RATE_HZ)) as decoding:
        for block in decoding:
            blocks.append(block)
            wanted -= block.size
            if wanted <= 0:
                break
    return np.concatenate(blocks)[: most_s * SAMPLE_RATE_HZ]
