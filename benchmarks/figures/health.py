"""How soon health is answered while nothing, or one thing, goes on."""

import time
from collections.abc import Sequence

from tests.support.sentences import SENTENCES

from benchmarks.bench import Bench, post
from benchmarks.clients import Speaker, Upload, text_of
from benchmarks.figure import Figure
from benchmarks.figures.film import FULL_S, QUICK_S
from benchmarks.material import clips_of_three_seconds, film
from benchmarks.results import Raw, Row
from benchmarks.watch import health_of
from benchmarks.wire import Target


class Health(Figure):
    """The health of an idle service, and beside what the other benchmarks measure without asking for it."""

    name = "health"
    method = (
        "A process of its own asks `/healthz` 20 times a second, each time on a new connection and whatever became "
        "of the question before. It asks during every load on this page, and here during what is timed elsewhere "
        "without it."
    )

    def measure(self, bench: Bench) -> Raw:
        seconds = bench.pick(15.0, 2.0)
        health = {}
        with bench.asr() as service:
            clips = Upload(Target.parse(service.base_url), [path.read_bytes() for path in clips_of_three_seconds()])
            long = Upload(Target.parse(service.base_url), [film(bench.pick(FULL_S, QUICK_S)).path.read_bytes()])
            text_of(post(clips))
            with health_of(service) as answers:
                time.sleep(seconds)
            health["speech to text, idle"] = answers
            with health_of(service) as answers:
                ends_at = time.monotonic() + seconds
                while time.monotonic() < ends_at:
                    post(clips)
            health["one clip after the other"] = answers
            with health_of(service) as answers:
                text_of(post(long))
            health["one long file"] = answers
        with bench.tts() as service:
            speaker = Speaker(Target.parse(service.base_url), [" ".join(SENTENCES)])
            with health_of(service) as answers:
                time.sleep(seconds)
            health["text to speech, idle"] = answers
            with health_of(service) as answers:
                post(speaker)
            health["one speech request of 20 sentences"] = answers
        return {"health": health}

    def rows(self, raw: Raw) -> Sequence[Row]:  # noqa: ARG002 - health has a table of its own
        return ()
