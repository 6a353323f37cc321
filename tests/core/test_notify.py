"""What systemd is told, read from a socket as it reads it."""

import array
import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_stack.core import server
from voice_stack.core.notify import Notifier, kept_sockets


class Manager:
    """The other end: a datagram socket, as systemd has one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """The lines that have come since the last call."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@voice-stack-{os.getpid()}")
    yield manager
    manager.socket.close()


def test_readiness_is_told_once_and_more_time_is_asked_for_until_then(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.tell("loading", is_ready=False)
    assert manager.heard() == ["STATUS=loading", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000"]
    notifier.tell("serving", is_ready=True)
    assert manager.heard() == ["READY=1", "STATUS=serving"]
    notifier.tell("serving", is_ready=True)
    notifier.tell("serving", is_ready=False)
    assert manager.heard() == []


def test_the_watchdog_is_fed_at_half_of_its_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    notifier = Notifier(manager.address, watchdog_s=60)
    notifier.tell("serving", is_ready=True)
    assert "WATCHDOG=1" in manager.heard()
    fed_at = []
    for _ in range(90):
        now += 1
        notifier.tell("serving", is_ready=True)
        if "WATCHDOG=1" in manager.heard():
            fed_at.append(now - 1000)
    assert fed_at == [29, 58, 87]


def test_what_was_not_taken_is_told_again(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.tell("serving", is_ready=True)
    manager = Manager(str(tmp_path / "notify"))
    notifier.tell("serving", is_ready=True)
    assert manager.heard() == ["READY=1", "STATUS=serving"]
    manager.socket.close()


def test_a_stop_says_why_and_asks_for_the_grace(manager: Manager) -> None:
    Notifier(manager.address).stopping(120, ValueError("no\nmodel"))
    assert manager.heard() == ["STOPPING=1", "STATUS=stopping: no model", "EXTEND_TIMEOUT_USEC=150000000"]


def test_reading_again_is_told_with_its_time_and_its_end(manager: Manager) -> None:
    with Notifier(manager.address).reloading():
        reloading, at = manager.heard()
    assert reloading == "RELOADING=1"
    assert int(at.removeprefix("MONOTONIC_USEC=")) == pytest.approx(time.monotonic_ns() / 1000, rel=0.01)
    assert manager.heard() == ["READY=1"]


def test_a_listening_socket_is_handed_over_and_still_takes_connections(manager: Manager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Notifier(manager.address).keep(listener)
        address = listener.getsockname()
    data, handed, _flags, _sender = manager.socket.recvmsg(4096, socket.CMSG_SPACE(4))
    assert data == b"FDSTORE=1\nFDNAME=voice-stack"
    [(_level, _kind, number)] = handed
    with socket.socket(fileno=array.array("i", number)[0]) as kept, socket.create_connection(address) as client:
        accepted, caller = kept.accept()
        accepted.close()
        assert caller == client.getsockname()


@pytest.mark.anyio
async def test_letting_go_waits_until_the_manager_has(manager: Manager) -> None:
    letting_go = asyncio.ensure_future(asyncio.to_thread(Notifier(manager.address).let_go))
    while not (said := manager.heard()):
        await asyncio.sleep(0.01)
    assert said[:2] == ["FDSTOREREMOVE=1", "FDNAME=voice-stack"]
    # The end of the pipe that came with the barrier was closed with its message, which was read without it.
    await asyncio.wait_for(letting_go, 4)


def test_nothing_is_told_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier.of_environment()
    notifier.tell("serving", is_ready=True)
    notifier.stopping(1)
    notifier.let_go()


def test_sockets_are_taken_only_by_the_process_that_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert kept_sockets() == []
    assert "LISTEN_FDS" not in os.environ


def test_a_kept_socket_is_used_where_it_is_the_one_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, taken in (("127.0.0.1", True), ("127.0.0.2", False), ("::1", False), ("name.invalid", False)):
        kept = socket.create_server(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        monkeypatch.setattr(server, "kept_sockets", lambda kept=kept: [kept])
        found = server._kept_listener(host, port, Notifier())
        assert (found is kept) == taken
        assert (kept.fileno() == -1) != taken
        kept.close()
