"""XTTS's vocoder as a stream: each sample is computed once, and equals that of decoding the whole at once.

Upstream's stream decodes all that was said so far for each chunk and cross-fades the joins, since latents cut into
windows and stretched window by window land between the samples. Here the latents are stretched on one grid that is
counted from the start of the speech, and cut only after that, with context on both sides for the convolutions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CONTEXT_FRAMES = 10
"""Frames that the vocoder sees on each side of those it is asked for.

Its convolutions reach 13.5 frames, the last of them with next to nothing: 8 frames leave an error of -110 dB, 10 and
more that of float32, -129 dB (random weights).
"""


@dataclass
class _Stretch:
    """Linear interpolation of a sequence that grows, on torch's own grid (``interpolate(align_corners=False)``)."""

    factor: float

    def length(self, frames: int) -> int:
        """How many frames come of so many, once they are all."""
        return math.floor(frames * self.factor)

    def ready(self, frames: int) -> int:
        """How many frames are final while more may follow: both neighbours must be there."""
        return 0 if frames < 2 else max(0, math.floor((frames - 0.5) * self.factor - 0.5))

    def __call__(self, frames: Tensor, first: int, start: int, stop: int, total: int | None) -> Tensor:
        """Frames ``start`` to ``stop`` of the result, shape (channels, stop - start).

        Args:
            frames: shape (channels, frames), of which the first column is number ``first`` of the sequence.
            total: how many there are in the whole sequence; None: not known yet.
        """
        # In float32, as torch computes it: weights that differ in the last digit would be heard at -80 dB.
        scale = torch.tensor(1.0 / self.factor, dtype=torch.float32, device=frames.device)
        positions = torch.arange(start, stop, dtype=torch.float32, device=frames.device)
        source = torch.clamp(scale * (positions + 0.5) - 0.5, min=0.0)
        left = source.floor().long()
        right = left + 1
        if total is not None:
            left, right = left.clamp(max=total - 1), right.clamp(max=total - 1)
        weight = (source - left).clamp(0.0, 1.0)
        return frames[:, left - first] * (1.0 - weight) + frames[:, right - first] * weight


class StreamingVocoder:
    """Turns the latents of one utterance into sound as they come.

    Args:
        decoder: coqui's ``HifiDecoder``.
        speaker_embedding: shape (1, 512, 1).
    """

    def __init__(self, decoder: nn.Module, speaker_embedding: Tensor, *, context_frames: int = CONTEXT_FRAMES) -> None:
        self._decoder = decoder
        self._speaker_embedding = speaker_embedding
        self._context = context_frames
        self._stretches = [_Stretch(decoder.ar_mel_length_compression / decoder.output_hop_length)]
        if decoder.output_sample_rate != decoder.input_sample_rate:
            self._stretches.append(_Stretch(decoder.output_sample_rate / decoder.input_sample_rate))
        # Of each stage: the columns that may still be needed, and the number of the first of them.
        self._kept: list[Any] = [None] * (len(self._stretches) + 1)
        self._first = [0] * (len(self._stretches) + 1)
        self._vocoded = 0

    def process(self, latents: Sequence[Tensor], *, last: bool = False) -> NDArray[np.float32]:
        """Take new latents, each of shape (1, channels); give the samples that are final, shape (samples,).

        Args:
            last: whether these are the utterance's last.
        """
        with torch.inference_mode():
            if latents:
                self._append(0, torch.cat(list(latents), dim=0).transpose(0, 1))
            for stage, stretch in enumerate(self._stretches):
                self._stretch(stage, stretch, last=last)
            return self._vocode(last=last)

    def _append(self, stage: int, frames: Tensor) -> None:
        kept = self._kept[stage]
        self._kept[stage] = frames if kept is None else torch.cat([kept, frames], dim=1)

    def _end(self, stage: int) -> int:
        kept = self._kept[stage]
        return self._first[stage] + (0 if kept is None else int(kept.shape[1]))

    def _stretch(self, stage: int, stretch: _Stretch, *, last: bool) -> None:
        here, made = self._end(stage), self._end(stage + 1)
        stop = stretch.length(here) if last else stretch.ready(here)
        if stop <= made:
            return
        frames = stretch(self._kept[stage], self._first[stage], made, stop, here if last else None)
        self._append(stage + 1, frames)
        # The left neighbour of the next frame, and one more for the rounding of its place.
        self._drop(stage, math.floor((stop + 0.5) / stretch.factor - 0.5) - 1)

    def _drop(self, stage: int, before: int) -> None:
        surplus = before - self._first[stage]
        if surplus > 0:
            # A copy, or the slice would keep all of it.
            self._kept[stage] = self._kept[stage][:, surplus:].clone()
            self._first[stage] = before

    def _vocode(self, *, last: bool) -> NDArray[np.float32]:
        stage = len(self._stretches)
        end = self._end(stage)
        stop = end if last else end - self._context
        if stop <= self._vocoded:
            return np.zeros(0, np.float32)
        begin = max(0, self._vocoded - self._context)
        frames = self._kept[stage][:, begin - self._first[stage] : min(end, stop + self._context) - self._first[stage]]
        waveform = self._decoder.waveform_decoder(frames[None], g=self._speaker_embedding)
        hop = self._decoder.output_hop_length
        samples: NDArray[np.float32] = (
            waveform[0, 0, (self._vocoded - begin) * hop : (stop - begin) * hop].float().cpu().numpy()
        )
        self._vocoded = stop
        self._drop(stage, stop - self._context)
        return samples
