"""What speech that goes on seems to say, on CTranslate2's Whisper.

Each hypothesis begins with the tokens that were given out before it, so that it cannot contradict them. The window fits
the speech, as in batched.py.
"""

# ruff: noqa: ANN401 - faster-whisper has no types to name

import zlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, Hypothesis, Language, LiveWindow, Piece
from voice_stack.asr.engine.batched import BatchDecoder, Encoded, fitted_s
from voice_stack.asr.engine.doubts import is_crowded, is_doubtful, is_repetitive
from voice_stack.asr.engine.tasks import WHOLE_S
from voice_stack.utils.steps import stop_if_abandoned

_FALLBACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
_FALL_BACK_S = 6.0
"""Less than so much is tried at higher temperatures; more is better tried by halves."""
_MOST_NEW = 220
"""Half of Whisper's context, less room for the longest prompt; the prefix counts."""
_NEW_PER_S = 16
"""Tokens for a second of speech: nobody says as much, in any script."""
_MARGIN_S = 3.0
"""Silence after speech that goes on: what a decoder repeats with less than 5 s, the next hypothesis does not."""
_STEP_S = 2.0
_FRAMES_PER_S = 100
_HEARD = 0.01  # the probability of a language that is spoken, however badly


@dataclass(frozen=True)
class _Written:
    """What the decoder wrote for a window."""

    language: Language
    tokens: list[int]  # those of the prefix first
    text: str
    avg_logprob: float
    no_speech_prob: float

    @property
    def compression_ratio(self) -> float:
        text = self.text.strip().encode()
        return len(text) / len(zlib.compress(text))

    def is_doubtful(self) -> bool:
        """Whether it repeats itself or is improbable, and not because nobody speaks."""
        return is_doubtful(
            compression_ratio=self.compression_ratio,
            avg_logprob=self.avg_logprob,
            no_speech_prob=self.no_speech_prob,
        )


class HypothesisDecoder:
    """Decodes with what a ``BatchDecoder`` has."""

    def __init__(self, model: Any, decoder: BatchDecoder, *, on_gpu: bool) -> None:
        self._model = model
        self._decoder = decoder
        self._on_gpu = on_gpu

    def key(self, window: LiveWindow) -> Hashable:
        """What the windows of a batch have in common."""
        return _window_s(window), window.final, bool(window.prefix), len(self._decoder.before(window.options))

    def decode(self, windows: Sequence[LiveWindow]) -> list[Hypothesis]:
        """Decode windows of one ``key``.

        Raises:
            RuntimeError, ValueError: from CTranslate2.
        """
        encoded = self._encode(windows)
        languages = self._languages(encoded, windows)
        written = self._generate(encoded, windows, languages)
        return [self._hypothesis(encoded, row, window, written[row]) for row, window in enumerate(windows)]

    def _encode(self, windows: Sequence[LiveWindow]) -> Encoded:
        frames = [self._decoder.log_mel(window.samples, _window_s(window)) for window in windows]
        return Encoded(self._model, frames, on_gpu=self._on_gpu)

    def _languages(self, encoded: Encoded, windows: Sequence[LiveWindow]) -> list[Language]:
        """The language of each; one that was asked for has the probability that it is the one that is spoken."""
        if all(window.options.language is not None and _window_s(window) >= WHOLE_S for window in windows):
            return [Language(window.options.language or "en", 1.0) for window in windows]
        told = self._decoder.languages(encoded, range(len(windows)))
        codes = [
            window.options.language or max(row, key=row.__getitem__) for window, row in zip(windows, told, strict=True)
        ]
        return [Language(code, row.get(code, 0.0)) for code, row in zip(codes, told, strict=True)]

    def _hypothesis(self, encoded: Encoded, row: int, window: LiveWindow, written: _Written) -> Hypothesis:
        seconds = window.samples.size / SAMPLE_RATE_HZ
        if _window_s(window) < WHOLE_S and (
            # Only in a whole window it is written in the language that was asked for.
            (window.options.language is not None and written.language.probability < _HEARD)
            # And in a short one models say things twice.
            or (window.final and (written.is_doubtful() or is_crowded(written.text, seconds, written.language.code)))
        ):
            return self.decode([replace(window, whole=True)])[0]
        if window.final and written.is_doubtful() and window.samples.size < _FALL_BACK_S * SAMPLE_RATE_HZ:
            written = self._fall_back(encoded, row, window, written)
        return Hypothesis(
            tuple(self._pieces(encoded, row, window, written)),
            written.language,
            written.avg_logprob,
            written.compression_ratio,
            written.no_speech_prob,
        )

    def _fall_back(self, encoded: Encoded, row: int, window: LiveWindow, first: _Written) -> _Written:
        tried = [first]
        alone = Encoded(self._model, [encoded.frames[row]], on_gpu=self._on_gpu)
        for temperature in _FALLBACK_TEMPERATURES:
            tried += self._generate(alone, [window], [first.language], temperature)
            if not tried[-1].is_doubtful():
                return tried[-1]
        varied = [one for one in tried if not is_repetitive(one.compression_ratio)]
        return max(varied or tried, key=lambda one: one.avg_logprob)

    def _generate(
        self,
        encoded: Encoded,
        windows: Sequence[LiveWindow],
        languages: Sequence[Language],
        temperature: float = 0.0,
    ) -> list[_Written]:
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizers = [self._decoder.tokenizer(language.code, "transcribe") for language in languages]
        prompts = [
            [*self._decoder.before(window.options), *tokenizer.sot_sequence, tokenizer.no_timestamps, *window.prefix]
            for window, tokenizer in zip(windows, tokenizers, strict=True)
        ]
        longest = max(len(window.prefix) for window in windows)
        seconds = max(window.samples.size for window in windows) / SAMPLE_RATE_HZ
        most = min(_MOST_NEW, longest + int(_NEW_PER_S * (1 + seconds)))
        how: dict[str, float] = {"beam_size": windows[0].options.beam_size if windows[0].final else 1}
        if temperature:
            how = {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        stop_if_abandoned()
        results = self._model.model.generate(
            encoded.rows(range(len(windows))),
            prompts,
            # CTranslate2 writes no more than half of it, the prefix included, and no more than the prompt leaves of it.
            max_length=max(2 * most, max(map(len, prompts)) + most - longest),
            return_scores=True,
            return_no_speech_prob=True,
            # After a prefix the text may be at its end.
            suppress_blank=not longest,
            suppress_tokens=get_suppressed_tokens(tokenizers[0], [-1]),
            **how,
        )
        return [self._written(*row) for row in zip(windows, languages, tokenizers, results, strict=True)]

    def _written(self, window: LiveWindow, language: Language, tokenizer: Any, result: Any) -> _Written:
        tokens = list(result.sequences_ids[0])
        # The sum is that of what follows the prefix, but it was divided by the length of all without the end.
        avg_logprob = float(result.scores[0]) * len(tokens) / (max(0, len(tokens) - len(window.prefix)) + 1)
        # Asked for no timestamps the model may write some.
        tokens = [token for token in tokens if token < tokenizer.eot]
        return _Written(language, tokens, tokenizer.decode(tokens), avg_logprob, float(result.no_speech_prob))

    def _pieces(self, encoded: Encoded, row: int, window: LiveWindow, written: _Written) -> Iterator[Piece]:
        tokenizer = self._decoder.tokenizer(written.language.code, "transcribe")
        spans = self._spans(encoded, row, window, written, tokenizer) if window.timed and written.tokens else []
        at = 0
        for text, tokens in zip(*tokenizer.split_tokens_on_unicode(written.tokens), strict=True):
            yield Piece(text, tuple(tokens), *(spans[at] if at < len(spans) else ()))
            at += len(tokens)

    def _spans(
        self, encoded: Encoded, row: int, window: LiveWindow, written: _Written, tokenizer: Any
    ) -> list[tuple[tuple[float, float], float]]:
        """When the word of each token was spoken, in seconds, and how probable it is."""
        frames = max(2, round(window.samples.size / SAMPLE_RATE_HZ * _FRAMES_PER_S))
        stop_if_abandoned()
        (words,) = self._model.find_alignment(tokenizer, [written.tokens], encoded.rows([row]), frames)
        return [
            ((float(word["start"]), float(word["end"])), float(word["probability"]))
            for word in words
            for _ in word["tokens"]
        ]


def _window_s(window: LiveWindow) -> float:
    # Words to expect are not looked for as well in a short window.
    if window.whole or (window.final and window.options.hotwords):
        return WHOLE_S
    seconds = window.samples.size / SAMPLE_RATE_HZ
    if window.final:
        return fitted_s(seconds)
    return min(WHOLE_S, _STEP_S * ceil((seconds + _MARGIN_S) / _STEP_S))
