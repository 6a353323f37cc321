"""What holds for every speech to text engine, with real weights; an engine that is not installed is skipped."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tests.asr.engine.conftest import Engine, LoadEngine, watched
from tests.support.serving import wait_until
from voice_stack.asr.engine.base import AudioBlock, Language, Position, Segment, Step, TranscribeOptions, Word
from voice_stack.core.errors import EngineError
from voice_stack.utils.audio.vad import EVERYTHING
from voice_stack.utils.language.whisper import LANGUAGE_NAMES
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.scheduling import Kind

Recordings = dict[str, AudioBlock]

DEFAULTS = TranscribeOptions()


def silence(seconds: float) -> AudioBlock:
    return np.zeros(round(16_000 * seconds), np.float32)


def steps_of(engine: Engine, *blocks: AudioBlock, options: TranscribeOptions = DEFAULTS) -> list[Step]:
    return [step for step in engine.transcribe(iter(blocks), options) if step]


def segments_of(steps: list[Step]) -> list[Segment]:
    return [step for step in steps if isinstance(step, Segment)]


def text_of(steps: list[Step]) -> str:
    return "".join(segment.text for segment in segments_of(steps))


def words_of(steps: list[Step]) -> list[Word]:
    return [word for segment in segments_of(steps) for word in segment.words]


def test_an_english_model_says_what_it_can_do(engine: Engine) -> None:
    assert (engine.model, engine.device) == ("tiny.en", "cpu")
    assert engine.capabilities.languages == ("en",)
    assert engine.capabilities.word_timestamps
    assert not engine.capabilities.translate
    assert not engine.capabilities.detect_language


def test_a_multilingual_model_says_what_it_can_do(load_engine: LoadEngine) -> None:
    capabilities = load_engine("base").capabilities
    assert set(capabilities.languages) <= set(LANGUAGE_NAMES)
    assert {"en", "de", "jw", "haw", "su"} <= set(capabilities.languages)
    assert capabilities.translate
    assert capabilities.detect_language


def test_an_engine_that_is_not_loaded_does_not_guess_what_it_can_do(engine: Engine) -> None:
    with pytest.raises(EngineError, match="not loaded"):
        _ = type(engine)("base", engine._store).capabilities


def test_the_language_comes_first_and_segments_at_the_time_of_the_speech(engine: Engine, fox: AudioBlock) -> None:
    blocks = (silence(5), fox, silence(5))
    language, *steps = steps_of(engine, *blocks, options=TranscribeOptions(word_timestamps=True))
    assert language == Language("en", 1.0)
    assert steps[-1] == Position(10 + fox.size / 16_000)
    words = words_of(steps)
    assert "fox" in "".join(word.text for word in words)
    assert 4.6 < words[0].start_s < words[-1].end_s < 5.3 + fox.size / 16_000


def test_words_follow_each_other_inside_their_segment_and_the_audio(engine: Engine, recordings: Recordings) -> None:
    audio = np.concatenate([recordings["hello_world"], silence(3), recordings["quick_brown_fox"]])
    steps = steps_of(engine, audio, options=TranscribeOptions(word_timestamps=True))
    segments = segments_of(steps)
    assert "world" in text_of(steps)
    assert "lazy dog" in text_of(steps)
    for segment in segments:
        assert "".join(word.text for word in segment.words).strip() == segment.text.strip()
        assert segment.start_s == segment.words[0].start_s <= segment.words[-1].end_s == segment.end_s
    times = [time for word in words_of(steps) for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= audio.size / 16_000
    assert all(0 < word.probability <= 1 for word in words_of(steps))


def test_without_words_segments_lie_inside_the_audio_and_carry_their_tokens(engine: Engine, fox: AudioBlock) -> None:
    (segment,) = segments_of(steps_of(engine, silence(2), fox))
    assert segment.words == ()
    assert 1.6 < segment.start_s < segment.end_s <= 2 + fox.size / 16_000
    assert segment.tokens
    assert (segment.temperature, 160 < segment.seek <= 200) == (0.0, True)
    assert segment.avg_logprob < 0 < segment.compression_ratio
    assert 0 <= segment.no_speech_prob <= 1


def test_silence_and_nothing_at_all_have_no_segments_and_no_language(engine: Engine) -> None:
    for blocks in ([silence(3)], [silence(0.001)], []):
        assert steps_of(engine, *blocks) == [Position(sum(block.size for block in blocks) / 16_000)]
        assert [step for step in engine.detect_language(blocks) if step] == []


def test_audio_shorter_than_a_window_is_transcribed_without_vad(engine: Engine, fox: AudioBlock) -> None:
    assert "fox" in text_of(steps_of(engine, fox, options=TranscribeOptions(vad=EVERYTHING)))


def test_a_prompt_and_words_to_expect_lead_the_spelling(engine: Engine, fox: AudioBlock) -> None:
    assert "quik" not in text_of(steps_of(engine, fox))
    prompted = steps_of(engine, fox, options=TranscribeOptions(prompt="The quik broun phox."))
    assert "quik" in text_of(prompted)
    expecting = TranscribeOptions(hotwords="Phox, quik, broun", prompt="Hello.")
    assert "quik" in text_of(steps_of(engine, fox, options=expecting))


def test_a_prompt_that_spells_a_special_token_is_taken_as_text(engine: Engine, fox: AudioBlock) -> None:
    options = TranscribeOptions(prompt="<|endoftext|> <|0.00|><|nospeech|>", hotwords="<|startoftranscript|>")
    assert "fox" in text_of(steps_of(engine, fox, options=options))


def test_the_temperature_asked_for_is_the_one_used(engine: Engine, fox: AudioBlock) -> None:
    segments = segments_of(steps_of(engine, fox, options=TranscribeOptions(temperature=0.4)))
    assert [segment.temperature for segment in segments] == [0.4]


@pytest.mark.parametrize(
    ("recording", "language"),
    [
        ("counting", "en"),
        ("conteo", "es"),
        ("bonjour_monde", "fr"),
        ("kazoeru", "ja"),
        ("contagem", "pt"),
        ("jishu", "zh"),
    ],
)
def test_the_language_is_detected(
    load_engine: LoadEngine, recordings: Recordings, recording: str, language: str
) -> None:
    (detected,) = (step for step in load_engine("base").detect_language([recordings[recording]]) if step)
    assert detected.code == language
    assert 0.5 < detected.probability <= 1


def test_the_language_of_speech_that_begins_late_is_detected(load_engine: LoadEngine, recordings: Recordings) -> None:
    blocks = [silence(40), recordings["contagem"]]
    (detected,) = (step for step in load_engine("base").detect_language(blocks) if step)
    assert detected.code == "pt"


def test_a_word_of_another_language_at_the_beginning_does_not_decide(
    load_engine: LoadEngine, recordings: Recordings
) -> None:
    pause = np.zeros(12 * 16_000, np.float32)
    fox = recordings["quick_brown_fox"]
    audio = np.concatenate([recordings["bonjour_monde"], pause, fox, fox, fox])
    language, *steps = steps_of(load_engine("base"), audio)
    assert isinstance(language, Language)
    assert language.code == "en"
    assert "".join(step.text for step in steps if isinstance(step, Segment)).count("fox") >= 2
    (detected,) = (step for step in load_engine("base").detect_language([audio]) if step)
    assert detected == language


@pytest.mark.parametrize(("times", "pause_s"), [(3, 0.0), (6, 0.5), (6, 2.0)])
def test_a_sentence_said_several_times_is_written_as_often(
    load_engine: LoadEngine, fox: AudioBlock, times: int, pause_s: float
) -> None:
    pause = np.zeros(round(pause_s * 16_000), np.float32)
    audio = np.concatenate([part for _ in range(times) for part in (fox, pause)])
    _, *steps = steps_of(load_engine("base"), audio, options=TranscribeOptions(language="en"))
    assert "".join(step.text for step in steps if isinstance(step, Segment)).count("fox") == times


def test_a_language_that_was_asked_for_is_written(load_engine: LoadEngine, fox: AudioBlock) -> None:
    language, *steps = steps_of(load_engine("base"), fox, options=TranscribeOptions(language="de"))
    assert language == Language("de", 1.0)
    assert text_of(steps).startswith(" Die ")


def test_french_is_translated_to_english_with_times_for_words(load_engine: LoadEngine, recordings: Recordings) -> None:
    options = TranscribeOptions(task="translate", word_timestamps=True)
    language, *steps = steps_of(load_engine("base"), recordings["bonjour_monde"], options=options)
    assert isinstance(language, Language)
    assert language.code == "fr"
    assert "world" in text_of(steps)
    assert words_of(steps)


@pytest.mark.anyio
async def test_an_abandoned_request_makes_no_further_call_of_the_model(engine: Engine, fox: AudioBlock) -> None:
    calls = 0
    working = threading.Event()

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            working.set()

    queue = StepQueue("abandoned", max_active={Kind.LONG: 1}, max_waiting=1)
    try:
        with watched(engine, count):
            with queue.job(lambda: engine.transcribe(iter([np.tile(fox, 40)]), TranscribeOptions())):
                assert await asyncio.to_thread(working.wait, 60)
            at_the_end = calls
            wait_until(lambda: queue.active == 0, 60)
    finally:
        queue.close()
    # The call in progress cannot be stopped; the next one is not made.
    assert calls <= at_the_end + 1


def test_an_abandoned_iterator_lets_go_of_its_audio(engine: Engine, fox: AudioBlock) -> None:
    closed = threading.Event()

    def blocks() -> Iterator[AudioBlock]:
        try:
            while True:
                yield fox
        finally:
            closed.set()

    steps = engine.transcribe(blocks(), TranscribeOptions())
    next(steps)
    assert hasattr(steps, "close")
    steps.close()
    del steps
    assert closed.is_set()
