"""Both services as units of a booted Debian, installed from a clone as its user does it."""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from openai import OpenAI

from tests.deploy.bookworm import commit
from tests.deploy.booted import Booted
from tests.support.serving import free_port

ASR, TTS = "voice-stack-asr", "voice-stack-tts"
CLONE = "/srv/voice-stack"
READY_LIMIT_S = 120

_WATCHDOG = "[Service]\nWatchdogSec=6s\n"
"""In place of a minute."""
SETTINGS = "# kept\nSHUTDOWN_GRACE_S=200\nHF_HUB_OFFLINE=true\n"


@dataclass(frozen=True)
class Host:
    """The booted system with the services, and what was there before them."""

    system: Booted
    clone: Path
    asr_url: str
    tts_url: str
    files_before: frozenset[str]
    users_before: str
    installations: Mapping[str, tuple[int, str]]
    """How each script ended, and what it wrote."""

    def script(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.system.run(f"{CLONE}/scripts/{name}", *options)

    def begin(self, name: str, *options: str) -> subprocess.Popen[str]:
        """Start a script, whose lines are then read as they come."""
        return _begin(self.system, name, *options)

    def main_pid(self, unit: str) -> int:
        return int(self.system.property(unit, "MainPID"))

    def release(self, service: str) -> str:
        return (self.system.root / f"opt/voice-stack/{service}/current").readlink().name

    def transcribe(self, sound: bytes) -> str:
        with OpenAI(base_url=f"{self.asr_url}/v1", api_key="any", timeout=300, max_retries=0) as client:
            return client.audio.transcriptions.create(file=("speech.wav", sound), model="whisper-1").text

    def speak(self, text: str) -> bytes:
        with OpenAI(base_url=f"{self.tts_url}/v1", api_key="any", timeout=300, max_retries=0) as client:
            return client.audio.speech.create(input=text, model="tts-1", voice="alloy", response_format="wav").content

    def wait_until_healthy(self, url: str) -> None:
        wait_for(lambda: is_healthy(url), f"{url} is healthy")

    def last_stop(self, unit: str) -> str:
        """What a unit wrote between being told to stop and its end, the last time."""
        stopping, stopped = (f"{what} {unit}.service" for what in ("Stopping", "Stopped"))
        return self.system.journal(unit).rpartition(stopped)[0].rpartition(stopping)[2]

    def wait_for_journal(self, unit: str, words: str) -> None:
        wait_for(lambda: words in self.system.journal(unit), f"{unit} writes {words!r}")


def wait_for(holds: Callable[[], bool], what: str, limit_s: float = READY_LIMIT_S) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, f"waited {limit_s:g} s in vain until {what}"
        time.sleep(0.1)


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def files_of(root: Path) -> frozenset[str]:
    """All that is in a root, but for what the system writes by itself, what is shown to it, and the clone."""
    elsewhere = ("proc", "sys", "dev", "run", "tmp", "srv", "var/tmp", "var/log", "var/lib/systemd", "root/.cache")
    pruned = [word for path in elsewhere for word in ("-path", f"./{path}", "-prune", "-o")]
    found = subprocess.run(["find", ".", *pruned, "-print"], cwd=root, check=True, capture_output=True, text=True)
    return frozenset(found.stdout.splitlines())


def install_both(system: Booted) -> Host:
    """Install both services from the clone in ``CLONE`` at the same time."""
    files, users = files_of(system.root), (system.root / "etc/passwd").read_text()
    for service in ("asr", "tts"):
        drop_in = system.root / f"etc/systemd/system/voice-stack-{service}.service.d/watchdog.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(_WATCHDOG)
    settings = system.root / "etc/voice-stack"
    settings.mkdir()
    for service in ("asr", "tts"):
        (settings / f"{service}.env").write_text(SETTINGS)
    ports = {"asr": free_port(), "tts": free_port()}
    running = {name: _begin(system, f"install-{name}.sh", "--port", str(port)) for name, port in ports.items()}
    outputs = {name: script.communicate()[0] for name, script in running.items()}
    installations = {name: (script.returncode, outputs[name]) for name, script in running.items()}
    urls = [f"http://127.0.0.1:{port}" for port in ports.values()]
    return Host(system, system.root / CLONE.lstrip("/"), urls[0], urls[1], files, users, installations)


def _begin(system: Booted, name: str, *options: str) -> subprocess.Popen[str]:
    command = system.command(f"{CLONE}/scripts/{name}", *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def commit_in(host: Host, subject: str) -> None:
    """Commit what was changed, as the user whose clone it is."""
    subprocess.run(["chown", "--recursive", "0:0", str(host.clone)], check=True)
    commit(host.clone, subject)
    subprocess.run(["chown", "--recursive", "1000:1000", str(host.clone)], check=True)


def killed_at(host: Host, words: str, name: str, *, after_s: float) -> None:
    """Run a script, and kill it, and what it has started, so long after it has written ``words``."""
    script = host.begin(name)
    assert script.stdout is not None
    assert any(line.startswith(words) for line in script.stdout), f"{name} never wrote {words!r}"
    time.sleep(after_s)
    at_work = "scripts/service.sh update|/opt/voice-stack/tts/.*pip"
    for pid in host.system.run("pgrep", "--full", at_work).stdout.split():
        host.system.run("kill", "-KILL", pid)
    script.wait()
    script.stdout.close()
