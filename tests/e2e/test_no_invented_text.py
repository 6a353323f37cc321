"""Half an hour without a word has no words, and what little is said in it is found."""

import numpy as np
import pytest
from openai import OpenAI

from tests.support.noises import KINDS, RATE_HZ, silence, wordless
from tests.support.sentences import SENTENCES
from tests.support.speech import decode, wav_bytes
from tests.support.wer import english_word_error_rate

MINUTES = 30
HIDDEN = SENTENCES[3:8]


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    pieces = list(wordless(MINUTES, seed=11))
    assert {name for name, _ in pieces} == {kind.__name__ for kind in KINDS}
    return [samples for _, samples in pieces]


def test_noise_hum_music_and_silence_have_no_text(asr_client: OpenAI, noises: list[np.ndarray]) -> None:
    audio = wav_bytes(np.concatenate(noises))
    heard = asr_client.audio.transcriptions.create(model="whisper-1", file=("noise.wav", audio))
    print(f"words heard in {MINUTES} minutes without speech: {len(heard.text.split())}")
    assert heard.text == ""


def test_five_sentences_hidden_in_it_are_found(
    asr_client: OpenAI, tts_client: OpenAI, noises: list[np.ndarray]
) -> None:
    """Each sentence has a second of silence around it and stands between two pieces."""
    pieces = list(noises)
    rng = np.random.default_rng(0)
    starts: dict[str, float] = {}
    for number, sentence in enumerate(HIDDEN):
        answer = tts_client.audio.speech.create(model="tts-1", voice="alloy", input=sentence, response_format="wav")
        place = (number + 1) * len(noises) // (len(HIDDEN) + 1) + number
        spoken = np.concatenate([silence(1, rng), decode(answer.read()), silence(1, rng)])
        pieces.insert(place, spoken)
    at = 0
    for piece in pieces:
        if not any(piece is noise for noise in noises):
            starts[HIDDEN[len(starts)]] = at / RATE_HZ
        at += piece.size
    heard = asr_client.audio.transcriptions.create(
        model="whisper-1", file=("hidden.wav", wav_bytes(np.concatenate(pieces))), response_format="verbose_json"
    )
    rate = english_word_error_rate([" ".join(HIDDEN)], [heard.text])
    print(f"five sentences in {MINUTES} minutes of noise: word error rate {rate:.1%}")
    assert rate <= 0.1, heard.text
    for sentence, start_s in starts.items():
        inside = [segment for segment in heard.segments or () if start_s <= segment.start <= start_s + 8]
        assert english_word_error_rate([sentence], [" ".join(segment.text for segment in inside)]) <= 0.25, sentence
