"""OpenAI's own SDK against both services: only the base URL is changed."""

import asyncio
from pathlib import Path

import openai
import pysubs2
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.serving import ServiceProcess
from tests.support.speech import Sample, decode
from tests.support.wer import character_error_rate, english_word_error_rate

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
TEXT = (
    "Good morning, everyone. This sentence is spoken second, and it is a little longer than the first one. "
    "Here comes the third! Do you hear the fourth? Then everything is fine."
)
FOX = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="session")
def fox(speech_dir: Path) -> Path:
    """A recording of the quick brown fox."""
    return speech_dir / "en" / "quick_brown_fox.wav"


def test_transcription_as_json(asr_client: OpenAI, fox: Path) -> None:
    with fox.open("rb") as file:
        answer = asr_client.audio.transcriptions.create(model="whisper-1", file=file)
    assert english_word_error_rate([FOX], [answer.text]) <= 0.12
    assert answer.usage is not None
    assert answer.usage.type == "duration"
    assert answer.usage.seconds == 3


def test_transcription_as_text(asr_client: OpenAI, fox: Path) -> None:
    answer = asr_client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="text")
    assert english_word_error_rate([FOX], [str(answer)]) <= 0.12


def test_transcription_as_verbose_json_with_words_inside_the_audio(asr_client: OpenAI, fox: Path) -> None:
    answer = asr_client.audio.transcriptions.create(
        model="whisper-1",
        file=fox,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
    )
    assert answer.language == "english"
    assert answer.duration == pytest.approx(2.889, abs=0.001)
    assert answer.segments
    assert answer.words
    assert english_word_error_rate([FOX], [" ".join(word.word for word in answer.words)]) <= 0.12
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= answer.duration


def test_transcription_as_subtitles(asr_client: OpenAI, fox: Path) -> None:
    srt = asr_client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="srt")
    vtt = asr_client.audio.transcriptions.create(model="whisper-1", file=fox, response_format="vtt")
    for cues in (pysubs2.SSAFile.from_string(str(srt), "srt"), pysubs2.SSAFile.from_string(str(vtt), "vtt")):
        assert english_word_error_rate([FOX], [" ".join(cue.plaintext.replace("\n", " ") for cue in cues)]) <= 0.12
        assert all(len(line) <= 42 for cue in cues for line in cue.plaintext.splitlines())
        assert 0 <= cues[0].start < cues[-1].end <= 2889


def test_transcription_as_a_stream(asr_client: OpenAI, fox: Path) -> None:
    with fox.open("rb") as file:
        events = list(asr_client.audio.transcriptions.create(model="whisper-1", file=file, stream=True))
    *deltas, done = events
    assert done.type == "transcript.text.done"
    assert english_word_error_rate([FOX], [done.text]) <= 0.12
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text
    assert done.usage is not None
    assert done.usage.total_tokens > 0


def test_transcription_with_log_probabilities_chunking_and_the_package_s_other_model(
    asr_client: OpenAI, fox: Path
) -> None:
    answer = asr_client.audio.transcriptions.create(
        model="tiny.en",
        file=fox,
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300},
    )
    assert english_word_error_rate([FOX], [answer.text]) <= 0.12
    assert answer.logprobs is not None
    assert "".join(entry.token or "" for entry in answer.logprobs).strip() == answer.text
    assert all((entry.logprob or 0) <= 0 for entry in answer.logprobs)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK marks translations so
def test_translation_is_english(asr_client: OpenAI, speech_dir: Path) -> None:
    french = speech_dir / "fr" / "bonjour_monde.wav"
    answer = asr_client.audio.translations.create(model="whisper-1", file=french)
    assert any(greeting in answer.text.lower() for greeting in ("hello", "good morning", "good day"))
    assert "world" in answer.text.lower()
    srt = asr_client.audio.translations.create(model="whisper-1", file=french, response_format="srt")
    assert len(pysubs2.SSAFile.from_string(str(srt), "srt")) == 1
    with pytest.raises(openai.BadRequestError, match="cannot translate"):
        asr_client.audio.translations.create(model="tiny.en", file=french)


def test_recordings_in_nine_languages_are_recognised_and_written_down(
    asr_client: OpenAI, samples: list[Sample]
) -> None:
    pangrams = [sample for sample in samples if sample.path.stem in {"pangrama", "quick_brown_fox"}]
    assert len({sample.language for sample in pangrams}) == 9
    rates = {}
    for sample in pangrams:
        answer = asr_client.audio.transcriptions.create(
            model="whisper-1", file=sample.path, response_format="verbose_json", language=sample.language
        )
        rates[sample.language] = round(character_error_rate(sample.transcript, answer.text), 3)
    print("character error rates:", rates)
    # The base model itself is weak in Hindi and Japanese.
    assert {language for language, rate in rates.items() if rate <= 0.25} >= {"en", "es", "fr", "it", "pt"}
    assert {language for language, rate in rates.items() if rate <= 0.6} >= {"ja", "pl", "zh"}


def test_the_language_is_detected(asr_client: OpenAI, samples: list[Sample]) -> None:
    wanted = {"en": "english", "es": "spanish", "fr": "french", "zh": "chinese", "ja": "japanese"}
    detected = {}
    for sample in samples:
        if sample.language in wanted and sample.path.stem in {"pangrama", "quick_brown_fox"}:
            answer = asr_client.audio.transcriptions.create(
                model="whisper-1", file=sample.path, response_format="verbose_json"
            )
            detected[sample.language] = answer.language
    assert detected == wanted


def test_models_are_listed_and_retrieved(asr_client: OpenAI, tts_client: OpenAI) -> None:
    assert {"base", "whisper-1"} <= {model.id for model in asr_client.models.list()}
    assert asr_client.models.retrieve("base").object == "model"
    assert {"piper", "tts-1"} <= {model.id for model in tts_client.models.list()}


@pytest.fixture(scope="module")
def pcm_duration_s(tts: ServiceProcess) -> float:
    """How long ``TEXT`` takes to say."""
    with OpenAI(base_url=f"{tts.base_url}/v1", api_key="unused") as client:
        pcm = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").read()
    return len(pcm) / 2 / 24_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_speech_saved_to_a_file_is_whole(
    tts_client: OpenAI, tmp_path: Path, pcm_duration_s: float, audio_format: str
) -> None:
    path = tmp_path / f"speech.{audio_format}"
    with tts_client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input=TEXT,
        response_format=audio_format,  # type: ignore[arg-type]
    ) as answer:
        answer.stream_to_file(path)
    data = path.read_bytes()
    duration_s = len(data) / 2 / 24_000 if audio_format == "pcm" else len(decode(data, 24_000)) / 24_000
    print(f"{audio_format}: {1000 * (duration_s - pcm_duration_s):+.1f} ms against the pcm")
    assert duration_s == pytest.approx(pcm_duration_s, abs=0.06)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_speech_arrives_as_a_stream(tts_client: OpenAI, pcm_duration_s: float, audio_format: str) -> None:
    with tts_client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input=TEXT,
        response_format=audio_format,  # type: ignore[arg-type]
    ) as answer:
        pieces = list(answer.iter_bytes(4096))
    data = b"".join(pieces)
    assert len(pieces) > 3
    duration_s = len(data) / 2 / 24_000 if audio_format == "pcm" else len(decode(data, 24_000)) / 24_000
    assert duration_s == pytest.approx(pcm_duration_s, abs=0.06)


def test_speed_changes_the_length_of_the_speech(tts_client: OpenAI, pcm_duration_s: float) -> None:
    def duration_s(speed: float) -> float:
        return (
            len(
                tts_client.audio.speech.create(
                    model="tts-1", voice="nova", input=TEXT, response_format="pcm", speed=speed
                ).read()
            )
            / 48_000
        )

    assert duration_s(2.0) == pytest.approx(pcm_duration_s / 2, abs=0.1)
    # The pauses between sentences, cut where it is quiet, differ by up to 50 ms from one time to the next.
    assert duration_s(0.25) == pytest.approx(pcm_duration_s * 4, abs=0.25)


def test_the_asynchronous_client_speaks_and_listens_at_once(
    asr: ServiceProcess, tts: ServiceProcess, fox: Path
) -> None:
    async def both() -> tuple[bytes, str]:
        async with (
            AsyncOpenAI(base_url=f"{tts.base_url}/v1", api_key="unused") as speaker,
            AsyncOpenAI(base_url=f"{asr.base_url}/v1", api_key="unused") as listener,
        ):
            spoken, heard = await asyncio.gather(
                speaker.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="mp3"),
                listener.audio.transcriptions.create(model="whisper-1", file=fox),
            )
            return await spoken.aread(), heard.text

    data, text = asyncio.run(both())
    assert len(decode(data)) > 16_000
    assert "fox" in text.lower()


def test_errors_arrive_as_the_sdks_own_exceptions(asr_client: OpenAI, tts_client: OpenAI, fox: Path) -> None:
    with pytest.raises(openai.BadRequestError) as bad_audio:
        asr_client.audio.transcriptions.create(model="whisper-1", file=("text.wav", b"no audio here" * 100))
    assert (bad_audio.value.code, bad_audio.value.param) == ("invalid_audio", "file")
    assert bad_audio.value.request_id
    with pytest.raises(openai.NotFoundError) as no_model:
        asr_client.audio.transcriptions.create(model="whisper-99", file=fox)
    assert no_model.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="en_US-joe-medium"):
        tts_client.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")
    with pytest.raises(openai.BadRequestError, match="speed"):
        tts_client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", speed=9)
    with pytest.raises(openai.BadRequestError, match="response_format"):
        tts_client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", response_format="midi")  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="empty"):
        tts_client.audio.speech.create(model="tts-1", voice="alloy", input="")
    with pytest.raises(openai.NotFoundError):
        tts_client.models.retrieve("nothing")
