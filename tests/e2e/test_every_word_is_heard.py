"""What the text to speech service says is understood word by word, in each format."""

from itertools import cycle

from openai import OpenAI

from tests.support.speech import wav_bytes
from tests.support.spoken import FORMATS, Hearing, decode_speech, hear, load_sentences, word_error_rate

FIRST, STEP = 5, 10
"""Two sentences of each kind, four in each format; ``benchmarks/intelligibility.py`` says all of them in each."""


def test_every_word_is_heard_in_each_format(asr_client: OpenAI, tts_client: OpenAI) -> None:
    hearings: list[Hearing] = []
    for sentence, audio_format in zip(load_sentences()[FIRST::STEP], cycle(FORMATS), strict=False):
        speech = tts_client.audio.speech.create(
            model="tts-1",
            voice="alloy",
            input=sentence.text,
            response_format=audio_format,  # type: ignore[arg-type]
        ).read()
        # PCM has no header by which anybody else could tell what it is.
        file = wav_bytes(decode_speech(speech, audio_format)) if audio_format == "pcm" else speech
        heard = asr_client.audio.transcriptions.create(model="whisper-1", file=("speech", file), language="en")
        hearings.append(hear(sentence, heard.text))
    flawed = [hearing for hearing in hearings if hearing.errors]
    rate = word_error_rate(hearings)
    print(f"word error rate over {len(hearings)} sentences: {rate:.2%}")
    assert not [hearing for hearing in flawed if hearing.missing]
    assert rate <= 0.06, flawed
