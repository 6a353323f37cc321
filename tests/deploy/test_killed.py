"""A service that is killed in the middle of its work: what is left of it, and for how long."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.support.raw_http import RawClient, upload_form
from tests.support.serving import ServiceProcess, service_process, wait_until


def children(service: ServiceProcess) -> list[int]:
    listing = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [int(pid) for pid in listing.split()]


def test_what_a_killed_service_leaves_is_gone_when_it_has_started_again(tmp_path: Path, model_dir: Path) -> None:
    temporary, voices = tmp_path / "temporary", tmp_path / "voices"
    temporary.mkdir()
    voices.mkdir()
    half = voices / f".{'0123456789abcdef' * 2}.partial"
    half.write_bytes(b"half of a recording")
    (voices / "notes.partial").write_bytes(b"not ours")
    env = {
        "MODEL_DIR": str(model_dir),
        "TTS_ENGINE": "piper",
        "WORKERS": "2",
        "TTS_VOICE_DIR": str(voices),
        "TMPDIR": str(temporary),
    }

    def left() -> list[str]:
        return [path.name for path in temporary.iterdir()]

    with service_process("tts", tmp_path, env=env) as service:
        assert not half.exists()
        assert (voices / "notes.partial").exists()
        form = upload_form(bytes(8 * 2**20))
        client = RawClient(service.base_url).post("/v1/audio/voices", form, part=0.5)
        wait_until(lambda: any(str(temporary) in target for pid in children(service) for target in open_files(pid)))
        (folder,) = left()
        assert folder.startswith("voice-stack-metrics-")
        workers = children(service)
        for pid in (service.process.pid, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        client.hang_up()
        service.process.wait()
        # What was uploaded has never had a name.
        assert left() == [folder]
    with service_process("tts", tmp_path, env=env):
        (again,) = left()
        assert again != folder
    assert left() == []


def open_files(pid: int) -> list[str]:
    found = []
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(str(descriptor.readlink()))
    return [target for target in found if target.endswith("(deleted)") or "/#" in target]
