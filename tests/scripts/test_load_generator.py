"""The load generator of the benchmarks, on a small real server."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from benchmarks.clients import HangUp, SlowReader, Speaker, StreamingUpload, Upload
from benchmarks.load import parse_kind
from benchmarks.traffic import LOST, Closed, Every, Load, Poisson, Share, run_load
from benchmarks.wire import Target
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from tests.support.serving import free_port, served

UPLOADED = b"\x00\xff" * 100_000


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """Serves each second upload and refuses the others; ``stream`` ends too soon; speech is what was asked for."""
    app = FastAPI()
    numbers = itertools.count()

    @app.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            upload = form["file"]
            assert not isinstance(upload, str)
            assert await upload.read() == UPLOADED
        if "stream" in form:
            return Response("data: {}\n\n")
        if form.get("language") == "late":
            await asyncio.sleep(0.5)
        return Response('{"text": "hello"}', status_code=503 if next(numbers) % 2 else 200)

    @app.post("/v1/audio/speech")
    async def speak(request: Request) -> StreamingResponse:
        asked = await request.json()

        async def pieces() -> AsyncIterator[bytes]:
            yield b"\x00" * 1000
            await asyncio.sleep(0.2)
            if asked["input"] == "break":
                raise ConnectionAbortedError
            yield b"\x00" * 1000

        return StreamingResponse(pieces())

    with served(app) as base_url:
        yield Target.parse(base_url)


def load(*shares: Share, seconds: float = 0.3, drain_s: float = 10) -> Load:
    return asyncio.run(run_load(shares, seconds, drain_s=drain_s))


def test_a_closed_loop_counts_what_was_served_and_what_was_refused(target: Target) -> None:
    run = load(Share("clip", Upload(target, [UPLOADED]), Closed(2)))
    clips = run.summary()["kinds"]["clip"]
    assert clips["sent"] == clips["served"] + clips["refused"] >= 2
    assert abs(clips["served"] - clips["refused"]) <= 1
    assert clips["statuses"] == {"200": clips["served"], "503": clips["refused"]}
    assert clips["latency_s"]["count"] == clips["served"]
    assert clips["refusal_s"]["count"] == clips["refused"]


def test_open_arrivals_come_at_their_rate_whatever_becomes_of_them(target: Target) -> None:
    late = Upload(target, [UPLOADED], {"language": "late"})
    run = load(Share("clip", late, Poisson(100)), Share("film", late, Every(0.1)), drain_s=0.1)
    assert 20 <= len(run.of("clip")) <= 40
    assert [round(outcome.at_s, 3) for outcome in sorted(run.of("film"), key=lambda film: film.at_s)] == [0, 0.1, 0.2]
    assert {outcome.error for outcome in run.outcomes} == {LOST}
    assert {outcome.fate for outcome in run.outcomes} == {"failed"}


def test_arrivals_are_the_same_for_the_same_seed(target: Target) -> None:
    share = Share("speech", Speaker(target, ["hello"]), Poisson(50))
    first, second = ([outcome.at_s for outcome in load(share).outcomes] for _ in range(2))
    assert sorted(first) == sorted(second)


def test_speech_has_a_first_byte_before_its_end(target: Target) -> None:
    outcome = load(Share("speech", Speaker(target, ["hello"]), Closed(1)), seconds=0.01).outcomes[0]
    assert outcome.reply is not None
    assert outcome.reply.first_byte_s is not None
    assert outcome.reply.total_s - outcome.reply.first_byte_s > 0.1


def test_a_slow_reader_takes_its_time(target: Target) -> None:
    outcome = load(Share("slow", SlowReader(target, ["hello"]), Closed(1)), seconds=0.01).outcomes[0]
    assert outcome.fate == "served"
    assert outcome.total_s >= 2000 / SlowReader.bytes_per_s


@pytest.mark.parametrize(
    ("kind", "error"),
    [("stream", "incomplete"), ("speech", "RemoteProtocolError"), ("nobody", "ConnectionRefusedError")],
)
def test_half_an_answer_is_a_failure(target: Target, kind: str, error: str) -> None:
    clients = {
        "stream": StreamingUpload(target, [UPLOADED]),
        "speech": Speaker(target, ["break"]),
        "nobody": Speaker(Target("127.0.0.1", free_port()), ["hello"]),
    }
    summary = load(Share(kind, clients[kind], Closed(1)), seconds=0.01).summary()["kinds"][kind]
    assert summary["failed"] == summary["sent"] == summary["errors"][error]


def test_a_client_that_hangs_up_is_no_failure(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HangUp, "longest_s", 0.1)

    class Impatient(HangUp):
        def __init__(self) -> None:
            Upload.__init__(self, target, [UPLOADED], {"language": "late"})

    outcomes = load(Share("hangup", Impatient(), Closed(3)), seconds=0.1).outcomes
    assert {outcome.fate for outcome in outcomes} == {"left"}


def test_what_goes_wrong_in_the_generator_is_not_hidden() -> None:
    class Broken(Upload):
        async def request(self, number: int) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load(Share("clip", Broken(Target("127.0.0.1", 1), [b""]), Every(1)), seconds=0.01)


@pytest.mark.parametrize(
    ("text", "arrivals"), [("clip=5/s", Poisson(5)), ("film=2", Closed(2)), ("stream=every0.5s", Every(0.5))]
)
def test_loads_as_the_command_takes_them(text: str, arrivals: object) -> None:
    assert parse_kind(text) == (text.partition("=")[0], arrivals)


@pytest.mark.parametrize("text", ["clip", "clip=", "clip=5/m", "song=2", "clip=every2"])
def test_other_loads_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use KIND=5/s"):
        parse_kind(text)


def test_a_peer_says_in_its_url_what_it_is_to_be_asked_for() -> None:
    assert Target.parse("http://host:8000/api/v1#model=a/b&voice=c") == Target("host", 8000, "/api", "a/b", "c")
    for wrong in ("https://host", "host:80", "http://host#modl=x"):
        with pytest.raises(ValueError, match="http"):
            Target.parse(wrong)
