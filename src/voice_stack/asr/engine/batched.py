"""Decodes several windows of speech at a time on CTranslate2's Whisper.

Whisper's own procedure (Radford et al., 2022, and openai/whisper's transcribe.py) for each window, with two changes.
The encoder's window is as long as the speech in it asks for, not always 30 s; the rest of a window is silence, as it is
in Whisper. And the windows of a batch are decoded together: they share a length, a beam and the number of tokens before
the start of the transcript, not a language or a task.
"""

# ruff: noqa: ANN401, RUF001 - faster-whisper has no types to name, and the punctuation of other scripts is meant

import zlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, Segment, TranscribeOptions, Word
from voice_stack.asr.engine.doubts import is_doubtful, is_repetitive
from voice_stack.asr.engine.tasks import WHOLE_S, WindowResult, WindowTask
from voice_stack.utils.sentence_ends import CLOSERS, ENDS
from voice_stack.utils.steps import stop_if_abandoned

_FALLBACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
_MOST_NEW = 220
"""Half of Whisper's context, as in openai-whisper, less room for the longest prompt: what repeats itself ends."""
_NEW_PER_S = 16
"""Tokens for a second of a shorter window: nobody says as much, in any script."""
_MOST_BEFORE = 223
"""Tokens before the start of the transcript, as in Whisper."""

_MARGIN_S = 5.0
"""Silence after the speech: with much less the decoder goes on past its end and repeats itself."""
_STEP_S = 4.0
"""Lengths of windows are multiples of it, so that clips of about the same length can share a batch."""

_LEAST_REST_S = 0.6  # speech is padded with 0.4 s of silence
_LEAST_PROGRESS_S = 0.3
# Where a text ends before the speech does, its last words are aligned too late: with one left out the next was lost.
_BADLY_TIMED = 3
_HEARD = 0.01  # the probability of a language that is spoken, however badly
_FRAMES_PER_S = 100
_LEAST_S = 1.0  # a segment is no shorter, where it could go on
_PAUSE_S = 1.0  # and ends where a pause is longer
_PRECISION_S = 0.02
_MAX_INITIAL_TIMESTAMP = 50
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"

Frames = NDArray[np.float32]


def fitted_s(seconds: float) -> float:
    """The shortest window that decodes so much speech well."""
    return min(WHOLE_S, _STEP_S * ceil((seconds + _MARGIN_S) / _STEP_S))


class BatchDecoder:
    """Decodes with the weights, the tokenizer and the log-mel frames of a ``faster_whisper.WhisperModel``.

    Args:
        on_gpu: encode all windows of a batch at once; on a CPU that gains nothing.
        timestamps: let the decoder write timestamps, which segments are cut at. CTranslate2 applies Whisper's rules for
            them to one beam after the other: 0.5 ms each time on a GPU, which is most of the time there. Without them
            segments are sentences, timed by the alignment of their words.
    """

    def __init__(self, model: Any, *, on_gpu: bool, timestamps: bool | None = None) -> None:
        self._model = model
        self._on_gpu = on_gpu
        self._timestamps = not on_gpu if timestamps is None else timestamps
        self._tokenizers: dict[tuple[str, str], Any] = {}

    def key(self, task: WindowTask) -> Hashable:
        """What the windows of a batch have in common."""
        options = task.options
        return task.window_s, len(self.before(options)), options.beam_size, options.temperature

    def tokens_before(self, options: TranscribeOptions) -> tuple[list[int], list[int]]:
        """Words to expect, and the end of what was said before; no more than Whisper takes of both together.

        What spells a special token is left out: another start of the transcript would be taken for the real one.
        """
        tokenizer = self.tokenizer("en", "transcribe")
        expected, said = (
            [token for token in tokenizer.encode(" " + text.strip()) if token < tokenizer.eot] if text.strip() else []
            for text in (options.hotwords or "", options.prompt or "")
        )
        del expected[_MOST_BEFORE:]
        return expected, said[max(0, len(expected) + len(said) - _MOST_BEFORE) :]

    def listen(self, blocks: Sequence[AudioBlock]) -> list[dict[str, float]]:
        """The probability of each language in the first 30 seconds of each block.

        Raises:
            RuntimeError, ValueError: from CTranslate2.
        """
        languages: list[dict[str, float]] = []
        for block in blocks:
            window_s = fitted_s(block.size / SAMPLE_RATE_HZ)
            languages += self.languages(Encoded(self._model, [self.log_mel(block, window_s)], on_gpu=self._on_gpu))
        return languages

    def decode(self, tasks: Sequence[WindowTask]) -> list[WindowResult]:
        """Decode windows of one ``key``.

        Raises:
            RuntimeError, ValueError: from CTranslate2.
        """
        encoded = Encoded(
            self._model, [self.log_mel(task.samples, task.window_s) for task in tasks], on_gpu=self._on_gpu
        )
        languages: list[dict[str, float]] = [{} for _ in tasks]
        rows = list(range(len(tasks)))
        if any(task.options.language is None or task.window_s < WHOLE_S for task in tasks):
            for row, told in enumerate(self.languages(encoded, rows)):
                if tasks[row].options.language is None:
                    languages[row] = told
                elif tasks[row].window_s < WHOLE_S and told.get(tasks[row].options.language or "", 0) < _HEARD:
                    # Only in a whole window it is written in the language that was asked for.
                    rows.remove(row)
        options = [
            replace(task.options, language=task.options.language or max(told, key=told.__getitem__))
            for task, told in zip(tasks, languages, strict=True)
        ]
        unsure = {row for row, told in enumerate(languages) if told and max(told.values()) <= tasks[row].sure_above}
        rows = [row for row in rows if row not in unsure]
        results = [WindowResult(None if row in unsure else (), told) for row, told in enumerate(languages)]
        if rows:
            said = self._generate(encoded, rows, options, options[rows[0]].temperature)
            for row, text in zip(rows, said, strict=True):
                if tasks[row].fall_back and not options[row].temperature:
                    text = self._fall_back(encoded, row, options, text)  # noqa: PLW2901 - the same, but better
                results[row] = self._result(encoded, row, tasks[row], options[row], text, languages[row])
        return results

    def tokenizer(self, language: str, task: str) -> Any:
        """The ``faster_whisper.tokenizer.Tokenizer`` for a language and a task."""
        from faster_whisper.tokenizer import Tokenizer

        if (language, task) not in self._tokenizers:
            self._tokenizers[language, task] = Tokenizer(
                self._model.hf_tokenizer, self._model.model.is_multilingual, task=task, language=language
            )
        return self._tokenizers[language, task]

    def log_mel(self, samples: AudioBlock, window_s: float) -> Frames:
        """Frames of a window, what the samples do not fill being silence: shape (mels, 100 a second)."""
        whole = np.zeros(round(window_s * SAMPLE_RATE_HZ), np.float32)
        length = min(whole.size, samples.size)
        whole[:length] = samples[:length]
        frames = self._model.feature_extractor(whole)[:, : round(window_s * _FRAMES_PER_S)]
        return np.ascontiguousarray(frames, np.float32)

    def languages(self, encoded: "Encoded", rows: Sequence[int] = (0,)) -> list[dict[str, float]]:
        """The probability of each language in some of the windows."""
        if not self._model.model.is_multilingual:
            return [{"en": 1.0} for _ in rows]
        stop_if_abandoned()
        told = self._model.model.detect_language(encoded.rows(rows))
        return [{token[2:-2]: float(probability) for token, probability in row} for row in told]

    def before(self, options: TranscribeOptions) -> list[int]:
        """The tokens before the start of the transcript."""
        expected, said = self.tokens_before(options)
        return [self.tokenizer("en", "transcribe").sot_prev, *expected, *said] if expected or said else []

    def _generate(
        self, encoded: "Encoded", rows: Sequence[int], options: Sequence[TranscribeOptions], temperature: float
    ) -> list["_Said"]:
        from faster_whisper.transcribe import get_suppressed_tokens

        prompts = []
        for row in rows:
            tokenizer = self.tokenizer(options[row].language or "en", options[row].task)
            without = [] if self._timestamps else [tokenizer.no_timestamps]
            prompts.append([*self.before(options[row]), *tokenizer.sot_sequence, *without])
        how: dict[str, float] = {"beam_size": options[rows[0]].beam_size}
        if temperature:
            # Several samples would each have their own copy of the audio for cross-attention: 37 MB with base.
            how = {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        most_new = min(_MOST_NEW, int(_NEW_PER_S * encoded.window_s))
        stop_if_abandoned()
        results = self._model.model.generate(
            encoded.rows(rows),
            prompts,
            # CTranslate2 writes no more than half of it, and no more than the prompt leaves of it.
            max_length=max(2 * most_new, len(prompts[0]) + most_new),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=_MAX_INITIAL_TIMESTAMP,
            **how,
        )
        return [_Said(tokenizer, result, temperature, most_new) for result in results]

    def _fall_back(self, encoded: "Encoded", row: int, options: Sequence[TranscribeOptions], said: "_Said") -> "_Said":
        tried = [said]
        for temperature in _FALLBACK_TEMPERATURES:
            if not tried[-1].is_doubtful():
                return tried[-1]
            tried += self._generate(encoded, [row], options, temperature)
        if not tried[-1].is_doubtful():
            return tried[-1]
        varied = [one for one in tried if not is_repetitive(one.compression_ratio)]
        return max(varied or tried, key=lambda one: one.avg_logprob)

    def _result(
        self,
        encoded: "Encoded",
        row: int,
        task: WindowTask,
        options: TranscribeOptions,
        said: "_Said",
        languages: dict[str, float],
    ) -> WindowResult:
        seconds = task.samples.size / SAMPLE_RATE_HZ
        tokenizer = self.tokenizer(options.language or "en", options.task)
        # Asked for none the model may write some, and then they do not come in pairs.
        tokens = [token for token in said.tokens if self._timestamps or token < tokenizer.timestamp_begin]
        pieces, rest_s = _cut(tokens, tokenizer.timestamp_begin, seconds)
        by_words = options.segment_times and not self._timestamps
        goes_on = said.is_cut_off and rest_s is None
        if options.word_timestamps or by_words or goes_on:
            stop_if_abandoned()
            # The encoder gives one frame for two, and to align with none is an error.
            frames = max(2, round(seconds * _FRAMES_PER_S))
            self._model.add_word_timestamps(
                [pieces], tokenizer, encoded.rows([row]), frames, _PREPENDED, _APPENDED, 0.0
            )
        if goes_on:
            rest_s = _leave_last_words(pieces, tokenizer, seconds)
        if by_words:
            pieces = [sentence for piece in pieces for sentence in _sentences(piece, tokenizer)]
        segments = []
        for piece in pieces:
            text = tokenizer.decode(piece["tokens"])
            if text.strip() and (by_words or piece["end"] > piece["start"]):
                segments.append(said.segment(piece, text, words=options.word_timestamps))
        return WindowResult(segments, languages, rest_s)


class Encoded:
    """The encoder's output for the windows of a batch."""

    def __init__(self, model: Any, frames: Sequence[Frames], *, on_gpu: bool) -> None:
        self._model = model
        self.frames = frames
        self._on_gpu = on_gpu
        self._outputs: list[Any] = []
        self._all: Any = None

    @property
    def window_s(self) -> float:
        """Length of the windows."""
        return float(self.frames[0].shape[-1] / _FRAMES_PER_S)

    def rows(self, rows: Sequence[int]) -> Any:
        """The output for some of the windows, for CTranslate2: shape (rows, frames / 2, channels)."""
        import ctranslate2

        if self._on_gpu:
            if list(rows) != list(range(len(self.frames))):
                return self._encode([self.frames[row] for row in rows])
            if self._all is None:
                self._all = self._encode(self.frames)
            return self._all
        if not self._outputs:
            self._outputs = [np.asarray(self._encode([frames])) for frames in self.frames]
        return ctranslate2.StorageView.from_array(np.concatenate([self._outputs[row] for row in rows]))

    def _encode(self, frames: Sequence[Frames]) -> Any:
        import ctranslate2

        stop_if_abandoned()
        return self._model.model.encode(ctranslate2.StorageView.from_array(np.stack(frames)))


class _Said:
    """What the decoder wrote for a window."""

    def __init__(self, tokenizer: Any, result: Any, temperature: float, most: int) -> None:
        self.tokens: list[int] = result.sequences_ids[0]
        self.temperature = temperature
        self.no_speech_prob = float(result.no_speech_prob)
        # CTranslate2 divides by the length without the end of the text, Whisper with it.
        self.avg_logprob = float(result.scores[0]) * len(self.tokens) / (len(self.tokens) + 1)
        text = tokenizer.decode(self.tokens).strip().encode()
        self.compression_ratio = len(text) / len(zlib.compress(text))
        # There was no room for more of it; a repetition would have gone on for ever.
        self.is_cut_off = len(self.tokens) >= most and not is_repetitive(self.compression_ratio)

    def is_doubtful(self) -> bool:
        """Whether it repeats itself or is improbable, and not because nobody speaks."""
        return is_doubtful(
            compression_ratio=self.compression_ratio,
            avg_logprob=self.avg_logprob,
            no_speech_prob=self.no_speech_prob,
        )

    def segment(self, piece: dict[str, Any], text: str, *, words: bool) -> Segment:
        """One piece of it."""
        return Segment(
            start_s=float(piece["start"]),
            end_s=float(piece["end"]),
            text=text,
            tokens=tuple(piece["tokens"]),
            avg_logprob=self.avg_logprob,
            compression_ratio=self.compression_ratio,
            no_speech_prob=self.no_speech_prob,
            temperature=self.temperature,
            seek=0,
            words=tuple(
                Word(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
                for word in piece.get("words", ())
                if words
            ),
        )


def _cut(tokens: Sequence[int], timestamp_begin: int, seconds: float) -> tuple[list[dict[str, Any]], float | None]:
    """Cut a window's tokens at its pairs of timestamps, as openai/whisper does; and say where it was cut off.

    Timestamps at the end mean that no speech follows where there is one, and that some does where there are two.
    """
    stamps = [token >= timestamp_begin for token in tokens]
    ends = [index for index in range(1, len(tokens)) if stamps[index] and stamps[index - 1]]
    is_complete = len(tokens) > 1 and stamps[-1] and not stamps[-2]
    if not ends:
        last_s = max(
            (_PRECISION_S * (token - timestamp_begin) for token in tokens if token > timestamp_begin), default=0.0
        )
        return [_piece(tokens, 0.0, min(last_s or seconds, seconds))], None
    if is_complete:
        ends.append(len(tokens))
    pieces = []
    end_s = 0.0
    for first, last in zip([0, *ends], ends, strict=False):
        start_s = min(seconds, max(end_s, _PRECISION_S * (tokens[first] - timestamp_begin)))
        end_s = min(seconds, max(start_s, _PRECISION_S * (tokens[last - 1] - timestamp_begin)))
        pieces.append(_piece(tokens[first:last], start_s, end_s))
    if is_complete:
        return pieces, None
    if end_s < _LEAST_PROGRESS_S:
        return [*pieces, _piece(tokens[ends[-1] :], end_s, seconds)], None
    return pieces, end_s if seconds - end_s >= _LEAST_REST_S else None


def _leave_last_words(pieces: list[dict[str, Any]], tokenizer: Any, seconds: float) -> float | None:
    """Take the last words, timed badly and maybe cut in half, off the pieces; returns where they begin."""
    words = pieces[-1].get("words", [])
    kept, left = words[:-_BADLY_TIMED], words[-_BADLY_TIMED:]
    if not kept or left[0]["start"] < _LEAST_PROGRESS_S or seconds - left[0]["start"] < _LEAST_REST_S:
        return None
    text = "".join(word["word"] for word in kept)
    pieces[-1] = {**_piece(tokenizer.encode(text), pieces[-1]["start"], kept[-1]["end"]), "words": kept}
    return float(left[0]["start"])


def _piece(tokens: Sequence[int], start_s: float, end_s: float) -> dict[str, Any]:
    return {"seek": 0, "start": start_s, "end": end_s, "tokens": list(tokens)}


def _sentences(piece: dict[str, Any], tokenizer: Any) -> Iterator[dict[str, Any]]:
    """Cut a piece with words after each sentence, and where somebody pauses."""
    words = piece.get("words", ())
    sentence: list[Any] = []
    for word, following in zip(words, chain(words[1:], [None]), strict=False):
        sentence.append(word)
        ends = word["word"].rstrip(CLOSERS).endswith(tuple(ENDS)) and word["end"] - sentence[0]["start"] >= _LEAST_S
        if following is None or ends or following["start"] - word["end"] > _PAUSE_S:
            text = "".join(said["word"] for said in sentence)
            cut = _piece(tokenizer.encode(text), sentence[0]["start"], sentence[-1]["end"])
            yield {**cut, "words": sentence}
            sentence = []
