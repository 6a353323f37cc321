"""What engines say of speech that goes on, with real weights: after what was given out before, and nothing else."""

import contextvars

import numpy as np
import pytest

from tests.asr.engine.conftest import Engine, LoadEngine, watched
from tests.support.engines import FakeAsrEngine
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, Hypothesis, LiveWindow, TranscribeOptions
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.core.errors import EngineError
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.steps import AbandonedError, run_works

ENGLISH = TranscribeOptions(language="en")


def hear(engine: Engine, window: LiveWindow) -> Hypothesis:
    work = engine.hypothesis(window)
    run_works([work])
    return work.result()


def test_a_hypothesis_says_what_was_said(engine: Engine, fox: AudioBlock) -> None:
    assert engine.capabilities.live
    for final in (False, True):
        heard = hear(engine, LiveWindow(fox, ENGLISH, final=final))
        assert heard.text.strip() == "The quick brown fox jumps over the lazy dog."
        assert heard.avg_logprob > -0.5
        assert heard.no_speech_prob < 0.3


def test_a_hypothesis_begins_with_what_was_given_out_and_goes_on_from_there(engine: Engine, fox: AudioBlock) -> None:
    whole = hear(engine, LiveWindow(fox, ENGLISH))
    for count in (1, 4, len(whole.pieces)):
        prefix = tuple(token for piece in whole.pieces[:count] for token in piece.tokens)
        for final in (False, True):
            heard = hear(engine, LiveWindow(fox, ENGLISH, prefix=prefix, final=final))
            assert heard.pieces == whole.pieces
            # Of nothing but the end of the text.
            assert heard.avg_logprob > (-0.5 if count < len(whole.pieces) else -1.0)


def test_a_prefix_that_is_wrong_stays(engine: Engine, fox: AudioBlock) -> None:
    said = hear(engine, LiveWindow(fox, ENGLISH)).pieces
    prefix = (said[0].tokens[0], said[2].tokens[0])  # "The brown"
    assert hear(engine, LiveWindow(fox, ENGLISH, prefix=prefix)).text.startswith(" The brown")


def test_words_are_timed_in_order_where_that_is_asked_for(engine: Engine, fox: AudioBlock) -> None:
    heard = hear(engine, LiveWindow(fox, ENGLISH, timed=True))
    starts = [piece.span_s[0] for piece in heard.pieces]
    assert starts == sorted(starts)
    assert 0.5 < heard.pieces[-2].span_s[1] <= fox.size / SAMPLE_RATE_HZ
    assert all(0 < piece.probability <= 1 for piece in heard.pieces)
    assert all(piece.span_s == (0, 0) for piece in hear(engine, LiveWindow(fox, ENGLISH)).pieces)


def test_the_language_is_detected_where_it_was_not_given(load_engine: LoadEngine, fox: AudioBlock) -> None:
    heard = hear(load_engine("base"), LiveWindow(fox, TranscribeOptions()))
    assert heard.language.code == "en"
    assert heard.language.probability > 0.8


def test_characters_are_never_cut_in_half(load_engine: LoadEngine, recordings: dict[str, AudioBlock]) -> None:
    heard = hear(load_engine("base"), LiveWindow(recordings["kazoeru"], TranscribeOptions(language="ja")))
    assert heard.pieces
    assert "\ufffd" not in heard.text


def test_what_was_abandoned_stops_before_the_next_call_of_the_model(engine: Engine, fox: AudioBlock) -> None:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    work = engine.hypothesis(LiveWindow(fox, ENGLISH))
    with watched(engine, count):
        contextvars.copy_context().run(run_works, [work], lambda: True)
    with pytest.raises(AbandonedError):
        work.result()
    assert calls == 0


def test_windows_fit_the_speech_with_either_way_to_decode(fox: AudioBlock, model_dir: object) -> None:
    store = ModelStore(model_dir, offline=True)  # type: ignore[arg-type]
    engine = FasterWhisperEngine("tiny.en", store, device="cpu", decode="accurate")
    engine.load()
    assert hear(engine, LiveWindow(fox, ENGLISH)).text.strip().startswith("The quick brown fox")


def test_silence_is_no_speech(engine: Engine) -> None:
    heard = hear(engine, LiveWindow(np.zeros(SAMPLE_RATE_HZ, np.float32), ENGLISH, final=True))
    assert heard.no_speech_prob > 0.5


def test_an_engine_without_hypotheses_says_so(fox: AudioBlock) -> None:
    engine = FakeAsrEngine()
    assert not engine.capabilities.live
    with pytest.raises(EngineError, match="cannot transcribe live"):
        engine.hypothesis(LiveWindow(fox, ENGLISH))
