"""Both services as units of a booted Debian: one story, from the installation to the last trace."""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.conftest import CACHE
from tests.deploy.bookworm import copied_root, pip_options
from tests.deploy.booted import booted, emptied
from tests.deploy.service_host import (
    ASR,
    CLONE,
    SETTINGS,
    TTS,
    Host,
    commit_in,
    files_of,
    install_both,
    is_healthy,
    killed_at,
    wait_for,
)
from tests.support.speech import Sample, decode, wav_bytes

SENTENCE = "Good morning. This machine can speak and listen without any help from the cloud."
WORST_EXPOSURE = 2.5
WORK_S = 6


@pytest.fixture(scope="module")
def host(bookworm: Path, clone: Path) -> Iterator[Host]:
    """A system with both services, installed from a clone as its user does it."""
    with emptied(CACHE / "deploy" / "booted") as folder:
        root = copied_root(bookworm, folder / "root")
        subprocess.run(["cp", "--archive", str(clone), str(root / CLONE.lstrip("/"))], check=True)
        # Git refuses a clone that is somebody else's, unless it is told not to.
        subprocess.run(["chown", "--recursive", "1000:1000", str(root / CLONE.lstrip("/"))], check=True)
        pip_cache = CACHE / "deploy" / "pip"
        pip_cache.mkdir(parents=True, exist_ok=True)
        with booted(
            root,
            shown=pip_options(clone),
            shared={pip_cache: "/var/cache/pip"},
            environment={"PIP_CACHE_DIR": "/var/cache/pip"},
        ) as system:
            yield install_both(system)


@pytest.fixture(scope="module")
def sentence(samples: list[Sample]) -> Sample:
    """English speech of some seconds."""
    return max((sample for sample in samples if sample.language == "en"), key=lambda sample: len(sample.transcript))


@pytest.fixture(scope="module")
def long_speech(host: Host, samples: list[Sample]) -> bytes:
    """Speech that the service works on for some seconds, however fast this host is."""
    english = np.concatenate([decode(each.path.read_bytes()) for each in samples if each.language == "en"])
    began_at = time.monotonic()
    host.transcribe(wav_bytes(english))
    return wav_bytes(np.tile(english, 1 + round(WORK_S / (time.monotonic() - began_at))))


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def test_both_services_are_installed_from_a_clone(host: Host) -> None:
    for service, (code, output) in host.installations.items():
        assert code == 0, output
        assert "No NVIDIA GPU was found" in output
        assert f"voice-stack-{service} is healthy." in output
        unit = f"voice-stack-{service}"
        assert host.system.read("systemctl", "is-active", unit) == "active"
        assert host.system.read("systemctl", "is-enabled", unit) == "enabled"
        owner = host.system.read("ps", "-o", "user:20=", "-p", str(host.main_pid(unit)))
        assert owner == "voice-stack"
        commit_id = subprocess.run(
            ["git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"],
            cwd=host.clone, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        assert host.release(service).startswith(commit_id)


def test_what_is_spoken_is_heard(host: Host) -> None:
    assert words_of(host.transcribe(host.speak(SENTENCE))) == words_of(SENTENCE)


@pytest.mark.parametrize("unit", [ASR, TTS])
def test_the_units_are_valid_and_hardened_with_a_gpu_too(host: Host, unit: str) -> None:
    file = f"/etc/systemd/system/{unit}.service"
    assert host.system.read("systemd-analyze", "verify", file) == ""
    assert _exposure(host, unit) <= WORST_EXPOSURE
    template = (host.clone / "scripts/systemd/gpu.conf").read_text()
    drop_in = host.system.root / f"{file}.d/gpu.conf".lstrip("/")
    drop_in.write_text(template.replace("@PREFIX@", "/opt/voice-stack").replace("@SERVICE@", unit[-3:]))
    try:
        assert host.system.read("systemd-analyze", "verify", file) == ""
        assert _exposure(host, unit) <= WORST_EXPOSURE
    finally:
        drop_in.unlink()


def _exposure(host: Host, unit: str) -> float:
    told = host.system.read("systemd-analyze", "security", "--offline=yes", "--no-pager", f"{unit}.service")
    found = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert found is not None
    print(f"{unit}: {found[1]}")
    return float(found[1])


def test_installing_again_changes_nothing(host: Host) -> None:
    before = (host.main_pid(ASR), files_of(host.system.root))
    ended = host.script("install-asr.sh")
    assert ended.returncode == 0
    assert "nothing else was to be changed" in ended.stdout
    assert (host.main_pid(ASR), files_of(host.system.root)) == before


def test_settings_that_were_there_stay(host: Host) -> None:
    settings = host.system.root / "etc/voice-stack/asr.env"
    assert settings.read_text().startswith(SETTINGS)


def test_an_unknown_option_is_refused_with_code_2(host: Host) -> None:
    for name in ("install-asr.sh", "update-tts.sh", "uninstall-asr.sh", "install_system_deps.sh"):
        ended = host.script(name, "--nonsense")
        assert ended.returncode == 2
        assert "--nonsense" in ended.stderr


def test_a_gpu_that_is_not_there_cannot_be_asked_for(host: Host) -> None:
    ended = host.script("install-asr.sh", "--device", "cuda")
    assert ended.returncode == 1
    assert "install NVIDIA's driver" in ended.stderr
    assert is_healthy(host.asr_url)


def test_settings_with_which_the_service_does_not_start_are_taken_back(host: Host) -> None:
    settings = host.system.root / "etc/voice-stack/asr.env"
    before = settings.read_text()
    ended = host.script("install-asr.sh", "--model", "/nowhere", "--timeout", "60")
    assert ended.returncode == 1
    assert "/nowhere" in ended.stderr  # the journal's last lines
    assert "was put back, with the settings of before, and is healthy" in ended.stderr
    assert settings.read_text() == before
    assert is_healthy(host.asr_url)


def test_a_killed_process_is_replaced_and_who_comes_meanwhile_waits(host: Host, sentence: Sample) -> None:
    pid = host.main_pid(ASR)
    host.system.read("kill", "-KILL", str(pid))
    wait_for(lambda: host.main_pid(ASR) != pid, "the process is gone")
    assert host.transcribe(sentence.path.read_bytes())
    assert host.main_pid(ASR) != pid


def test_a_process_that_hangs_is_replaced(host: Host) -> None:
    pid = host.main_pid(TTS)
    host.system.read("kill", "-STOP", str(pid))
    host.wait_for_journal(TTS, "Watchdog timeout")
    assert words_of(host.transcribe(host.speak(SENTENCE))) == words_of(SENTENCE)
    assert host.main_pid(TTS) != pid


def test_voices_are_read_again_at_a_reload(host: Host) -> None:
    pid = host.main_pid(TTS)
    for suffix in (".onnx", ".onnx.json"):
        host.system.read(
            "sh", "-c", f'cp "$(find /opt/voice-stack/tts/current/ -name "*joe*{suffix}" | head -n 1)"'
            f" /var/lib/voice-stack-tts/voices/en_US-anna-medium{suffix}",
        )  # fmt: skip
    host.system.read("systemctl", "reload", TTS)
    wait_for(lambda: "anna" in httpx.get(f"{host.tts_url}/v1/audio/voices").text, "the voice is there")
    assert host.main_pid(TTS) == pid


def test_an_update_loses_nothing_that_was_accepted(host: Host, sentence: Sample, long_speech: bytes) -> None:
    old = host.release("asr")
    (host.clone / "src/voice_stack/py.typed").write_text("# changed\n")
    commit_in(host, "Change something")
    releases = host.system.root / "opt/voice-stack/asr/releases"
    expected, all_of_it = host.transcribe(sentence.path.read_bytes()), host.transcribe(long_speech)
    stop, short = threading.Event(), list[str]()

    def keep_asking() -> None:
        while not stop.wait(2):
            short.append(host.transcribe(sentence.path.read_bytes()))

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(keep_asking)
        try:
            update = host.begin("update-asr.sh")
            wait_for(lambda: len(list(releases.glob("*/.complete"))) == 2, "the release is built", limit_s=600)
            long = pool.submit(host.transcribe, long_speech)
            output, _ = update.communicate()
        finally:
            stop.set()
        asking.result()
    assert update.returncode == 0, output
    assert host.release("asr") != old
    assert len(long.result()) == pytest.approx(len(all_of_it), rel=0.05)
    assert set(short) == {expected}
    # It was in progress when the old process was told to stop.
    assert "POST /v1/audio/transcriptions 200" in host.last_stop(ASR)


def test_speech_that_streams_at_a_restart_is_whole(host: Host) -> None:
    text = " ".join([SENTENCE] * 12)
    whole = len(host.speak(text))
    body = {"input": text, "model": "tts-1", "voice": "alloy", "response_format": "wav"}
    with httpx.stream("POST", f"{host.tts_url}/v1/audio/speech", json=body, timeout=300) as answer:
        parts = answer.iter_bytes()
        heard = len(next(parts))
        with ThreadPoolExecutor() as pool:
            restart = pool.submit(host.system.read, "systemctl", "restart", TTS)
            wait_for(lambda: host.system.property(TTS, "ActiveState") == "deactivating", "the service stops")
            for part in parts:
                heard += len(part)
            restart.result()
    assert heard == pytest.approx(whole, rel=0.05)
    host.wait_until_healthy(host.tts_url)


def test_a_release_that_cannot_be_imported_never_gets_to_run(host: Host) -> None:
    package = host.clone / "src/voice_stack/tts/app.py"
    whole = package.read_text()
    package.write_text('raise RuntimeError("broken on purpose")\n')
    commit_in(host, "Break the import")
    before = (host.main_pid(TTS), host.release("tts"))
    ended = host.script("update-tts.sh")
    package.write_text(whole)
    commit_in(host, "Mend the import")
    assert ended.returncode == 1
    assert "broken on purpose" in ended.stderr
    assert "Nothing that runs was changed" in ended.stderr
    assert (host.main_pid(TTS), host.release("tts")) == before


def test_updates_that_fail_or_are_killed_leave_the_old_release_serving(host: Host) -> None:
    old = host.release("tts")
    lifecycle = host.clone / "src/voice_stack/core/lifecycle.py"
    whole = lifecycle.read_text()
    lifecycle.write_text(whole.replace("            self._load()\n", "            time.sleep(10_000)\n"))
    assert lifecycle.read_text() != whole
    commit_in(host, "Never load the model")

    # While pip is at work.
    killed_at(host, "Installing release", "update-tts.sh", after_s=3)
    assert (is_healthy(host.tts_url), host.release("tts")) == (True, old)

    ended = host.script("update-tts.sh", "--timeout", "15")
    assert ended.returncode == 1
    assert f"Release {old} was put back" in ended.stderr
    assert (is_healthy(host.tts_url), host.release("tts")) == (True, old)

    # Between the change and the proof.
    killed_at(host, "Restarting", "update-tts.sh", after_s=1)
    assert host.release("tts") != old
    lifecycle.write_text(whole)
    commit_in(host, "Load it again")
    ended = host.script("update-tts.sh", "--rollback")
    assert "An earlier run was cut off" in ended.stdout
    assert host.release("tts") == old
    host.wait_until_healthy(host.tts_url)
    assert words_of(host.transcribe(host.speak(SENTENCE))) == words_of(SENTENCE)


def test_going_back_takes_the_release_before(host: Host) -> None:
    new = host.release("asr")
    ended = host.script("update-asr.sh", "--rollback")
    assert ended.returncode == 0, ended.stderr
    assert host.release("asr") != new
    assert is_healthy(host.asr_url)


def test_a_stop_lets_requests_finish(host: Host, long_speech: bytes) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(host.transcribe, long_speech)
        wait_for(lambda: httpx.get(f"{host.asr_url}/healthz").json()["active"] > 0, "it is worked on")
        host.system.read("systemctl", "stop", ASR)
        assert len(long.result()) > 100
    assert "POST /v1/audio/transcriptions 200" in host.last_stop(ASR)
    assert host.system.property(ASR, "Result") == "success"


def test_a_taken_port_is_told_and_not_tried_for_ever(host: Host) -> None:
    port = int(host.asr_url.rpartition(":")[2])
    with socket.create_server(("0.0.0.0", port)):
        assert host.system.run("systemctl", "start", ASR).returncode != 0
        time.sleep(7)  # RestartSec and a little
        assert host.system.property(ASR, "ActiveState") == "failed"
        assert host.system.property(ASR, "NRestarts") == "0"
    assert f"cannot listen on 0.0.0.0 port {port}: Address already in use" in host.system.journal(ASR)
    host.system.read("systemctl", "start", ASR)
    host.wait_until_healthy(host.asr_url)


def test_removing_keeps_the_data_and_says_where(host: Host) -> None:
    ended = host.script("uninstall-asr.sh")
    assert ended.returncode == 0, ended.stderr
    for kept in ("/etc/voice-stack/asr.env", "/var/lib/voice-stack-asr", "/var/cache/voice-stack-asr"):
        assert kept in ended.stdout
        assert (host.system.root / kept.lstrip("/")).exists()
    assert not (host.system.root / "opt/voice-stack/asr").exists()
    assert host.system.property(ASR, "LoadState") in {"not-found", "masked"}
    assert is_healthy(host.tts_url)


def test_purging_leaves_nothing(host: Host) -> None:
    for service in ("tts", "asr"):
        refused = host.script(f"uninstall-{service}.sh", "--purge")
        assert refused.returncode == 2
        ended = host.script(f"uninstall-{service}.sh", "--purge", "--yes")
        assert ended.returncode == 0, ended.stderr
    assert files_of(host.system.root) - host.files_before == set()
    assert (host.system.root / "etc/passwd").read_text() == host.users_before
    assert host.system.run("systemctl", "list-unit-files", "voice-stack*").stdout.count("voice-stack-") == 0
    # Also where there is nothing to do.
    assert host.script("uninstall-asr.sh", "--purge", "--yes").returncode == 0
