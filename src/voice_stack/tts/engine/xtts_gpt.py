"""XTTS's autoregressive model as a stream of latents, with nothing shared between streams.

Upstream keeps the prefix of the utterance in the model and draws from the process's random numbers, so that two streams
at a time speak each other's words. Here the cache, the prefix and the random numbers belong to the stream. The latents
equal upstream's (``TTS/tts/layers/xtts/gpt.py``, coqui-tts 0.28) for the same seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

_PREFIX_TOKEN = 1
"""Stands for the prefix in what the repetition penalty looks at, as upstream has it."""


@dataclass(frozen=True)
class Sampling:
    """How the next audio token is drawn."""

    temperature: float
    repetition_penalty: float
    top_k: int
    top_p: float

    def processors(self) -> LogitsProcessorList:
        """What changes the logits before the draw, in the order of ``transformers``."""
        return LogitsProcessorList(
            [
                RepetitionPenaltyLogitsProcessor(self.repetition_penalty),
                TemperatureLogitsWarper(self.temperature),
                TopKLogitsWarper(self.top_k),
                TopPLogitsWarper(self.top_p),
            ]
        )


def stream_latents(
    gpt: nn.Module, conditioning: Tensor, text_tokens: Tensor, sampling: Sampling, seed: int
) -> Iterator[Tensor]:
    """Say a text: yields a latent of shape (1, channels) for each 1024 samples at 22.05 kHz, until the model stops.

    Args:
        gpt: coqui's XTTS ``GPT``, made ready for inference.
        conditioning: the speaker's conditioning latents, shape (1, 32, channels).
        text_tokens: shape (1, tokens).
    """
    stream = _Stream(gpt, conditioning, text_tokens, sampling, seed)
    for _ in range(gpt.max_gen_mel_tokens):
        yield stream.step()
        if stream.stopped:
            return


class _Stream:
    def __init__(
        self, gpt: nn.Module, conditioning: Tensor, text_tokens: Tensor, sampling: Sampling, seed: int
    ) -> None:
        self._gpt = gpt
        self._cache = DynamicCache()
        self._processors = sampling.processors()
        device = conditioning.device
        self._random = torch.Generator(device=device).manual_seed(seed)
        with torch.inference_mode():
            tokens = nn.functional.pad(text_tokens, (1, 0), value=gpt.start_text_token)
            tokens = nn.functional.pad(tokens, (0, 1), value=gpt.stop_text_token)
            text = gpt.text_embedding(tokens) + gpt.text_pos_embedding(tokens)
            start = torch.tensor([[gpt.start_audio_token]], device=device)
            self._next = torch.cat([conditioning, text, self._embedding(start, 0)], dim=1)
            self._seen = torch.tensor([[_PREFIX_TOKEN, gpt.start_audio_token]], device=device)
        self._position = 0
        self.stopped = False

    def step(self) -> Tensor:
        with torch.inference_mode():
            hidden = self._gpt.gpt(
                inputs_embeds=self._next, past_key_values=self._cache, use_cache=True, return_dict=True
            ).last_hidden_state[:, -1]
            latent = self._gpt.final_norm(hidden)
            scores = self._processors(self._seen, self._gpt.mel_head(latent).float())
            token = torch.multinomial(torch.softmax(scores, dim=-1), 1, generator=self._random)
            self._seen = torch.cat([self._seen, token], dim=1)
            self._position += 1
            self.stopped = int(token) == self._gpt.stop_audio_token
            if not self.stopped:
                self._next = self._embedding(token, self._position)
            return latent

    def _embedding(self, token: Tensor, position: int) -> Tensor:
        embedded = self._gpt.mel_embedding(token)
        return embedded + self._gpt.mel_pos_embedding.get_fixed_embedding(position, embedded.device)
