"""Speech made by one service is understood by the other."""

from openai import OpenAI

from tests.support.sentences import SENTENCES
from tests.support.wer import english_word_error_rate


def test_twenty_sentences_survive_being_spoken_and_heard(asr_client: OpenAI, tts_client: OpenAI) -> None:
    heard = []
    for sentence in SENTENCES:
        audio = tts_client.audio.speech.create(model="tts-1", voice="alloy", input=sentence, response_format="mp3")
        answer = asr_client.audio.transcriptions.create(model="whisper-1", file=("speech.mp3", audio.read()))
        heard.append(answer.text)
    rate = english_word_error_rate(SENTENCES, heard)
    print(f"word error rate over {len(SENTENCES)} sentences: {rate:.2%}")
    assert rate <= 0.05, list(zip(SENTENCES, heard, strict=True))


def test_silence_has_no_text(asr_client: OpenAI) -> None:
    import numpy as np

    from tests.support.speech import wav_bytes

    for silence in (np.zeros(16_000 * 5, np.float32), np.zeros(160, np.float32)):
        answer = asr_client.audio.transcriptions.create(model="whisper-1", file=("silence.wav", wav_bytes(silence)))
        assert answer.text == ""
