"""Speech fed in real time to live transcriptions, in process: how long after a word it is there, and how right.

Each session hears English of its own: sentences with pauses of 0.15 to 6 s, and a passage without any. The time at
which a word ends is that of the whole-file transcription with word timestamps, in the same run and with the same model.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from benchmarks.material import MODEL_DIR, RATE_HZ, Samples, english
from benchmarks.percentiles import spread
from voice_stack.asr.engine.base import Hypothesis, LiveWindow, Segment, TranscribeOptions
from voice_stack.asr.engine_factory import create_engine
from voice_stack.asr.live.events import Completed, Delta, LiveEvent, SpeechStopped
from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.asr.service import AsrService
from voice_stack.core.settings import Settings
from voice_stack.utils.scheduling import Work

SILENCE_S = TurnDetection().silence_s
_BLOCK = RATE_HZ // 10
_RUN_ON_PAUSE_S = 0.1
_END_S = 2.0
_BETWEEN_STARTS_S = 0.7


@dataclass(frozen=True)
class Speech:
    """What a session hears."""

    samples: Samples
    transcript: str


@dataclass(frozen=True)
class Heard:
    """What came of one session; times in seconds."""

    transcript: str
    text: str
    whole_file: str
    delays: Sequence[float]  # from the end of a word to the delta that has it
    unmatched: int  # words of the whole-file transcription that are not in the live one
    final_delays: Sequence[float]  # from the end of speech and the silence of the turn detection to the whole text
    duration_s: float
    late_s: float  # from the end of the audio to the end of the text


def speech(seconds: float, start_s: float) -> Speech:
    """Sentences with pauses for two thirds of the time, then a passage without."""
    samples, sentences = english()
    ends = [0, *(end for _, end in sentences)]
    first = next(number for number, end in enumerate(ends) if end >= start_s * RATE_HZ)
    pieces, texts, size = [], [], 0
    for number in range(first, len(sentences)):
        piece = samples[ends[number] : ends[number + 1]]
        if size > seconds * RATE_HZ * 2 / 3:
            # The pause is digital silence.
            piece = np.concatenate([np.trim_zeros(piece), np.zeros(round(_RUN_ON_PAUSE_S * RATE_HZ), np.float32)])
        pieces.append(piece)
        texts.append(sentences[number][0])
        size += piece.size
        if size > seconds * RATE_HZ:
            break
    return Speech(np.concatenate([*pieces, np.zeros(round(_END_S * RATE_HZ), np.float32)]), " ".join(texts))


def measure(sessions: int, seconds: float, env: Mapping[str, str], *, language: str | None = None) -> dict[str, Any]:
    """Feed so many sessions in real time; blocks for as long, and to transcribe the whole of each."""
    settings = Settings(_env_file=None, hf_hub_offline=True, model_dir=MODEL_DIR, **_lowered(env))
    engine = create_engine(settings)
    service = AsrService(settings, engine, lambda _: engine)
    speeches = [speech(seconds, number * seconds) for number in range(sessions)]
    try:
        return asyncio.run(_measure(service, speeches, LiveOptions(language=language)))
    finally:
        service.close()


async def _measure(service: AsrService, speeches: Sequence[Speech], options: LiveOptions) -> dict[str, Any]:
    service.lifecycle.start()
    await service.lifecycle.ready()
    calls = _Calls(service)
    load = os.getloadavg()
    began_at, cpu_s = time.monotonic(), time.process_time()
    arrived = await asyncio.gather(
        *(_listen(service, one, options, number * _BETWEEN_STARTS_S) for number, one in enumerate(speeches))
    )
    wall_s, cpu_s = time.monotonic() - began_at, time.process_time() - cpu_s
    made = calls.count
    heard = [
        await asyncio.to_thread(_compare, service, one, events, language=options.language)
        for one, events in zip(speeches, arrived, strict=True)
    ]
    return {
        "heard": [asdict(one) for one in heard],
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "calls": made,
        "load": [round(value, 2) for value in load],
    }


class _Calls:
    """Counts the hypotheses that are asked of the engine."""

    def __init__(self, service: AsrService) -> None:
        self.count = 0
        engine = service._engine  # noqa: SLF001 - nothing else tells how often it is asked
        ask = engine.hypothesis

        def counted(window: LiveWindow) -> Work[Hypothesis]:
            self.count += 1
            return ask(window)

        engine.hypothesis = counted  # type: ignore[method-assign]


async def _listen(
    service: AsrService, speech: Speech, options: LiveOptions, after_s: float
) -> list[tuple[float, LiveEvent]]:
    await asyncio.sleep(after_s)
    async with service.live(options) as live:
        began_at = time.monotonic()

        async def feed() -> None:
            for first in range(0, speech.samples.size, _BLOCK):
                # A block is there when its last sample was spoken.
                await asyncio.sleep(max(0.0, began_at + (first + _BLOCK) / RATE_HZ - time.monotonic()))
                await live.feed(speech.samples[first : first + _BLOCK])
            await live.finish()

        feeding = asyncio.ensure_future(feed())
        arrived = [(time.monotonic() - began_at, event) async for event in live]
        await feeding
    return arrived


def _compare(
    service: AsrService, speech: Speech, arrived: Sequence[tuple[float, LiveEvent]], *, language: str | None
) -> Heard:
    duration_s = speech.samples.size / RATE_HZ
    options = TranscribeOptions(language=language, word_timestamps=True)
    segments = [
        step
        for step in service._engine.transcribe([speech.samples], options)  # noqa: SLF001 - the same engine
        if isinstance(step, Segment)
    ]
    ends = [(part, word.end_s) for one in segments for word in one.words for part in _normal(word.text)]
    said: list[tuple[str, float]] = []  # words with the time at which they came
    text = ""
    for at_s, event in arrived:
        if isinstance(event, Delta):
            text += event.text
            # What goes on with the last word makes it another: it came now.
            said += [(part, at_s) for part in _normal(event.text)]
        elif isinstance(event, Completed):
            text += " "
    aligned = jiwer.process_words(" ".join(word for word, _ in ends), " ".join(word for word, _ in said))
    delays = [
        said[chunk.hyp_start_idx + offset][1] - ends[chunk.ref_start_idx + offset][1]
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for offset in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    stopped = {event.utterance: event.at_s for _, event in arrived if isinstance(event, SpeechStopped)}
    return Heard(
        transcript=speech.transcript,
        text=text.strip(),
        whole_file="".join(segment.text for segment in segments).strip(),
        delays=delays,
        unmatched=len(ends) - len(delays),
        final_delays=[
            at_s - stopped[event.utterance]
            for at_s, event in arrived
            if isinstance(event, Completed) and event.utterance in stopped
        ],
        duration_s=duration_s,
        late_s=arrived[-1][0] - duration_s,
    )


def word_error_rate(transcripts: Sequence[str], texts: Sequence[str]) -> float:
    """Errors a word, after Whisper's English normaliser."""
    normalize = EnglishTextNormalizer()
    return float(jiwer.wer([normalize(text) for text in transcripts], [normalize(text) for text in texts]))


def _normal(text: str) -> list[str]:
    return str(EnglishTextNormalizer()(text)).split()


def _lowered(env: Mapping[str, str]) -> dict[str, Any]:
    return {name.lower(): value for name, value in env.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4], help="at the same time (default: 1 4)")
    parser.add_argument("--seconds", type=float, default=150, help="of audio for each (default: %(default)s)")
    parser.add_argument("--language", help="given, not detected")
    parser.add_argument("--texts", action="store_true", help="show what was heard, too")
    arguments = parser.parse_args()
    for sessions in arguments.sessions:
        raw = measure(sessions, arguments.seconds, {}, language=arguments.language)
        heard = raw["heard"]
        transcripts = [one["transcript"] for one in heard]
        rates = [word_error_rate(transcripts, [one[side] for one in heard]) for side in ("text", "whole_file")]
        print(f"{sessions} session(s) of {arguments.seconds:.0f} s; load average before: {raw['load']}")
        print(f"  word to delta, s:    {_shown(spread([delay for one in heard for delay in one['delays']]))}")
        print(f"  final text, s:       {_shown(spread([delay for one in heard for delay in one['final_delays']]))}")
        print(f"  word error rate:     {rates[0]:.2%} live, {rates[1]:.2%} whole file")
        print(f"  not in both:         {sum(one['unmatched'] for one in heard)} words")
        print(f"  after the audio's end: {max(one['late_s'] for one in heard):.2f} s")
        print(f"  calls a second: {raw['calls'] / raw['wall_s']:.2f}; processors: {raw['cpu_s'] / raw['wall_s']:.2f}")
        for one in heard if arguments.texts else ():
            print(f"--- {one['transcript']}\n+++ {one['text']}\n=== {one['whole_file']}")


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {value:g}" if name == "count" else f"{name} {value:.2f}" for name, value in values.items()
    )


if __name__ == "__main__":
    main()
