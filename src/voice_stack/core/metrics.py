"""What Prometheus is told of a service: requests, queue, batches, audio and the model, counted where they happen."""

import enum
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from voice_stack.core.settings import Service
from voice_stack.utils.scheduling import Kind, Work

SHARED_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the processes of one service add up their numbers; prometheus_client reads it, too, when it
is imported. Not set: the process is the only one."""

Outcome = Literal["ok", "error", "broken", "client_left"]
"""How a request ended: answered, answered with an error, failed after the answer had begun, or left by its client."""

OTHER = "other"
"""Stands for every path and method that the service does not know: clients make up as many as they like."""

JOB_KINDS: dict[Service, Sequence[Kind]] = {
    "asr": (Kind.URGENT, Kind.LIVE, Kind.PARTIAL, Kind.LATE, Kind.SHORT, Kind.LONG),
    "tts": (Kind.SPEECH,),
}

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_SESSION_S = (1, 10, 60, 300, 900, 3600, 7200, 14_400, 28_800, 86_400)
_BATCH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
_REAL_TIME_FACTORS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10)

T = TypeVar("T")

# Series that tell when each other series began; Prometheus has no use for them in this format.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The numbers of one app. Every method may be called from any thread.

    Where several processes serve on one port (``SHARED_DIR_VARIABLE``), each writes its numbers to files that all of
    them read: whichever is asked answers for the service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._shared_dir = os.environ.get(SHARED_DIR_VARIABLE)
        self.registry = registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"voice_stack_{name}", about, ("service", *labels), registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            name = f"voice_stack_{name}"
            return Gauge(name, about, ("service", *labels), registry=registry, multiprocess_mode="livesum")

        def histogram(name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"voice_stack_{name}", about, ("service", *labels), registry=registry, buckets=buckets)

        self._requests = counter(
            "http_requests_total", "Requests, by how they ended.", "method", "route", "status", "outcome"
        )
        self._errors = counter("errors_total", "Errors that clients were told of, by code.", "code")
        self._duration = histogram(
            "http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            _REQUEST_S,
            "route",
            "outcome",
        )
        self._first_byte = histogram(
            "http_time_to_first_byte_seconds",
            "From the head of a request to the first byte of a body that is no error.",
            _REQUEST_S,
            "route",
        )

        self._sessions = gauge("open_sessions", "Open sessions over WebSockets.").labels(service)
        self._ended = counter("sessions_total", "Sessions over WebSockets, by how they ended.", "route", "outcome")
        self._session_s = histogram(
            "session_duration_seconds", "How long sessions over WebSockets were open.", _SESSION_S, "route"
        )

        self._depth = gauge("queue_depth", "Jobs that wait for their first turn.").labels(service)
        self._active = gauge("queue_active_jobs", "Jobs that take turns.").labels(service)
        self._wait = histogram("queue_wait_seconds", "What jobs waited for their first turn.", _REQUEST_S, "kind")
        self._refused = counter("queue_refused_total", "Jobs refused because the queue was full.", "kind")
        self._expired = counter("queue_expired_total", "Jobs whose deadline passed while they waited.", "kind")

        self._batch_size = histogram("batch_size", "Pieces of work in one engine call.", _BATCH_SIZES).labels(service)
        self._batch_s = histogram("batch_duration_seconds", "Time of one engine call.", _BATCH_S).labels(service)
        self._batch_audio = counter("batch_audio_seconds_total", "Audio in engine calls.").labels(service)

        self._audio = counter("audio_seconds_total", "Audio in and out of finished requests.", "direction")
        self._real_time_factor = histogram(
            "real_time_factor", "Time that a finished request was worked on by its audio's.", _REAL_TIME_FACTORS
        ).labels(service)

        self._state = gauge("model_state", "1 for the state that the service is in.", "state")
        self._loads = Summary(
            "voice_stack_model_load_seconds", "Loading of the model.", ("service",), registry=registry
        ).labels(service)
        self._unloads = counter("model_unloads_total", "Times that an idle model was let go of.").labels(service)

        # What has not happened yet is 0, not missing: a rate over a series that begins with 1 misses the first.
        for kind in JOB_KINDS[service]:
            for metric in (self._wait, self._refused, self._expired):
                metric.labels(service, kind.value)
        self._audio.labels(service, "in" if service == "asr" else "out")

        self._process = ProcessCollector(registry=None if self.shared else registry)
        if self.shared:
            name, about = "process_resident_memory_bytes", "Resident memory size in bytes, of all processes."
            self._memory = Gauge(name, about, registry=registry, multiprocess_mode="livesum")

    @property
    def shared(self) -> bool:
        """Whether other processes serve on the same port."""
        return self._shared_dir is not None

    def request_done(
        self,
        method: str,
        route: str,
        *,
        status: int,
        outcome: Outcome,
        duration_s: float,
        first_byte_s: float | None,
        error: str | None,
    ) -> None:
        """A request has ended.

        Args:
            route: the template of its path, or ``OTHER``.
            status: 0 where the client left before there was one.
            first_byte_s: when the first byte of the body left; None: none did, or the answer is an error.
            error: code of the error that the client was told of, or that broke the answer off.
        """
        method = method if method in _METHODS else OTHER
        self._requests.labels(self._service, method, route, str(status) if status else "none", outcome).inc()
        self._duration.labels(self._service, route, outcome).observe(duration_s)
        if first_byte_s is not None:
            self._first_byte.labels(self._service, route).observe(first_byte_s)
        if error is not None:
            self._errors.labels(self._service, error).inc()

    def session_done(self, route: str, *, outcome: str, duration_s: float) -> None:
        """A session over a WebSocket has ended.

        Args:
            route: the template of its path.
            outcome: ``ok``, ``client_left``, or the code of the error that it ended with.
        """
        self._ended.labels(self._service, route, outcome).inc()
        self._session_s.labels(self._service, route).observe(duration_s)

    def job_started(self, kind: str, waited_s: float) -> None:
        """A job has its first turn."""
        self._wait.labels(self._service, kind).observe(waited_s)

    def job_refused(self, kind: str) -> None:
        """A job found the queue full."""
        self._refused.labels(self._service, kind).inc()

    def job_expired(self, kind: str) -> None:
        """The deadline of a job passed while it waited."""
        self._expired.labels(self._service, kind).inc()

    def batch_done(self, size: int, audio_s: float, seconds: float) -> None:
        """An engine call of ``seconds`` for ``size`` pieces of work, ``audio_s`` seconds of audio together."""
        self._batch_size.observe(size)
        self._batch_s.observe(seconds)
        self._batch_audio.inc(audio_s)

    def audio_done(self, direction: Literal["in", "out"], audio_s: float, seconds: float) -> None:
        """A request has been served whole: so much audio, and so many seconds of work on it."""
        self._audio.labels(self._service, direction).inc(audio_s)
        if audio_s > 0:
            self._real_time_factor.observe(seconds / audio_s)

    def model_loaded(self, seconds: float) -> None:
        """The model can be used; loading took so long."""
        self._loads.observe(seconds)

    def model_unloaded(self) -> None:
        """The idle model has been let go of."""
        self._unloads.inc()

    def take_stock(self, *, depth: int, active: int, sessions: int, state: enum.Enum) -> None:
        """Note how things stand, before ``exposition`` tells it. Reads ``/proc`` where processes are several.

        Args:
            state: one of an enumeration, whose values are the states' names.
        """
        self._depth.set(depth)
        self._active.set(active)
        self._sessions.set(sessions)
        for known in type(state):
            self._state.labels(self._service, str(known.value)).set(known is state)
        if self.shared:
            sizes = [
                family.samples[0].value
                for family in self._process.collect()
                if family.name.endswith("_resident_memory_bytes")
            ]
            self._memory.set(sum(sizes))

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format. Blocks where processes are several: it reads their files."""
        if self._shared_dir is None:
            return generate_latest(self.registry)
        self._forget_the_dead(Path(self._shared_dir))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._shared_dir)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    @staticmethod
    def _forget_the_dead(folder: Path) -> None:
        """What ended processes have counted stays; the queue and the memory that they had are gone."""
        for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class Stopwatch:
    """Adds up what it takes to make the results of one job, steps and batches; what passes between is its reader's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, make_steps: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
        """The same steps. Closing them closes those of ``make_steps``."""
        steps: Iterator[T] | None = None
        began_at = time.perf_counter()
        try:
            steps = make_steps()
            for step in steps:
                now = time.perf_counter()
                self.seconds += now - began_at
                yield step
                # After a result the job may rest for as long as its reader likes.
                began_at = now if step is None or isinstance(step, Work) else time.perf_counter()
            self.seconds += time.perf_counter() - began_at
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                close()
