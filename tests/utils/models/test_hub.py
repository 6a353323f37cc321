"""Downloads through the hub's real client, in a process of its own: it reads its environment when imported."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.utils.models.hub_server import Hub, running_hub
from voice_stack.utils.models.hub import cache_folder
from voice_stack.utils.models.store import ModelStore

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
WHISPER = {"model.bin": WEIGHTS, "config.json": b"{}", "vocabulary.json": b"[]", "tokenizer.json": b"{}"}
VOICE_CONFIG = b'{"audio": {"sample_rate": 22050}}'

PROGRAM = """
import json, sys
from pathlib import Path
from voice_stack.core.errors import VoiceStackError
from voice_stack.utils.models import hub
from voice_stack.utils.models.store import ModelStore
folder, call, name, options = sys.argv[1:]
options = json.loads(options)
hub.TIMEOUT_S = options.pop("timeout_s", hub.TIMEOUT_S)
if limit := options.pop("file_limit", None):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
store = ModelStore(Path(folder), offline=options.pop("offline", False))
try:
    found = getattr(store, call)(name, **options)
    print(json.dumps({"path": str(getattr(found, "path", found))}))
except VoiceStackError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message}))
"""


@dataclass(frozen=True)
class Outcome:
    """What the process said."""

    path: Path | None
    error: str | None
    message: str
    stderr: str


@dataclass(frozen=True)
class Client:
    """Runs the store in a process of its own against a hub."""

    model_dir: Path
    env: dict[str, str]

    def start(self, call: str, name: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.model_dir), call, name, json.dumps(options)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, call: str, name: str, **options: object) -> Outcome:
        return finish(self.start(call, name, **options))


def finish(process: subprocess.Popen[str]) -> Outcome:
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    said = json.loads(stdout)
    path = Path(said["path"]) if "path" in said else None
    return Outcome(path, said.get("error"), said.get("message", ""), stderr)


def make_client(folder: Path, endpoint: str) -> Client:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE"))}
    env |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return Client(folder / "models", env)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        hub.repositories["Systran/faster-whisper-small"] = WHISPER | {"README.md": b"no need"}
        yield hub


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return make_client(tmp_path, hub.url)


def test_pull_brings_the_files_into_model_dir_with_a_progress_bar(hub: Hub, client: Client) -> None:
    outcome = client.run("pull", "small")
    assert outcome.path == client.model_dir / "small", outcome
    assert {entry.name: entry.read_bytes() for entry in outcome.path.iterdir()} == WHISPER
    assert "model.bin" in outcome.stderr
    assert "100%" in outcome.stderr
    assert "2.10M/2.10M" in outcome.stderr
    assert hub.fetched("README.md") == []
    assert [entry.name for entry in (client.model_dir / ".downloads").iterdir() if entry.is_dir()] == []
    assert ModelStore(client.model_dir, offline=True).find_whisper("small") == outcome.path


def test_find_downloads_once_and_without_a_bar_when_asked(hub: Hub, client: Client) -> None:
    first = client.run("find_whisper", "Systran/faster-whisper-small", progress=False)
    assert first.path == client.model_dir / "small", first
    assert "model.bin" not in first.stderr
    seen = len(hub.requests)
    assert client.run("find_whisper", "small").path == first.path
    assert len(hub.requests) == seen


def test_a_hub_id_without_a_short_name_gets_a_folder_of_its_own(hub: Hub, client: Client) -> None:
    hub.repositories["owner/tuned"] = WHISPER
    assert client.run("pull", "owner/tuned").path == client.model_dir / "owner" / "tuned"


def test_a_killed_download_is_no_model_and_goes_on_where_it_was(hub: Hub, client: Client) -> None:
    # The client writes pieces of 10 MB.
    weights = WEIGHTS * 12
    hub.repositories["Systran/faster-whisper-small"] = WHISPER | {"model.bin": weights}
    hub.delay_s = 0.01
    process = client.start("pull", "small")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 1_000_000 for path in client.model_dir.rglob("model.bin.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    hub.delay_s = 0.0

    store = ModelStore(client.model_dir, offline=True)
    assert "small" not in {model.name for model in store.available()}
    assert {model.source for model in store.available()} <= {"embedded", "hub_cache"}

    outcome = client.run("pull", "small")
    assert outcome.path is not None, outcome
    assert (outcome.path / "model.bin").read_bytes() == weights
    whole, rest = hub.fetched("model.bin")
    assert whole is None
    assert rest is not None
    assert int(rest.removeprefix("bytes=").removesuffix("-")) > 1_000_000


def test_two_processes_that_pull_at_once_download_once(hub: Hub, client: Client) -> None:
    hub.delay_s = 0.02
    outcomes = [finish(process) for process in [client.start("pull", "small"), client.start("pull", "small")]]
    assert [outcome.path for outcome in outcomes] == [client.model_dir / "small"] * 2, outcomes
    assert len(hub.fetched("model.bin")) == 1


def test_offline_asks_the_hub_nothing(hub: Hub, client: Client) -> None:
    outcome = client.run("pull", "small", offline=True)
    assert outcome.error == "ModelNotFoundError"
    assert "HF_HUB_OFFLINE" in outcome.message
    assert hub.requests == []


def test_the_clients_own_offline_switch_gives_the_same_error(hub: Hub, client: Client) -> None:
    client.env["HF_HUB_OFFLINE"] = "1"
    outcome = client.run("pull", "small")
    assert outcome.error == "ModelNotFoundError"
    assert "HF_HUB_OFFLINE is set" in outcome.message
    assert hub.requests == []


def test_a_model_the_hub_does_not_have_is_not_found(client: Client) -> None:
    outcome = client.run("pull", "owner/nothing")
    assert outcome.error == "ModelNotFoundError"
    assert "The hub has no model 'owner/nothing'" in outcome.message


def test_a_gated_model_says_what_to_accept(hub: Hub, client: Client) -> None:
    hub.gated.add("owner/gated")
    outcome = client.run("find_whisper", "owner/gated")
    assert outcome.error == "ModelNotFoundError"
    assert "accept" in outcome.message
    assert "HF_TOKEN" in outcome.message


def test_another_format_is_refused_before_anything_is_downloaded(hub: Hub, client: Client) -> None:
    hub.repositories["openai/whisper-base"] = {"model.safetensors": WEIGHTS, "config.json": b"{}"}
    outcome = client.run("pull", "openai/whisper-base")
    assert outcome.error == "ModelNotFoundError"
    assert "CTranslate2" in outcome.message
    assert all("/resolve/" not in path for _, path, _ in hub.requests)


def test_a_hub_that_refuses_connections_is_a_load_error_that_helps(tmp_path: Path) -> None:
    with socket.socket() as held:
        # Bound and not listening: nobody else can take the port, and connections to it are refused.
        held.bind(("127.0.0.1", 0))
        outcome = make_client(tmp_path, f"http://127.0.0.1:{held.getsockname()[1]}").run("find_whisper", "small")
    assert outcome.error == "ModelLoadError"
    assert "Check the network" in outcome.message
    assert "MODEL_DIR" in outcome.message


def test_a_hub_that_never_answers_is_given_up(hub: Hub, client: Client) -> None:
    hub.silent = True
    outcome = client.run("find_whisper", "small", timeout_s=0.5)
    assert outcome.error == "ModelLoadError"
    assert "'Systran/faster-whisper-small' failed" in outcome.message


def test_a_file_that_arrives_damaged_is_not_kept(hub: Hub, client: Client) -> None:
    hub.damaged = True
    outcome = client.run("pull", "small")
    assert outcome.error == "ModelLoadError"
    assert "damaged" in outcome.message
    hub.damaged = False
    outcome = client.run("pull", "small")
    assert outcome.path is not None
    assert (outcome.path / "model.bin").read_bytes() == WEIGHTS


def test_a_disk_that_takes_no_more_names_model_dir(client: Client) -> None:
    outcome = client.run("pull", "small", file_limit=1_000_000)
    assert outcome.error == "ModelLoadError"
    assert f"MODEL_DIR ({client.model_dir}) cannot be written" in outcome.message


def test_a_folder_in_the_way_is_left_alone_and_named(client: Client) -> None:
    (client.model_dir / "small").mkdir(parents=True)
    (client.model_dir / "small" / "model.bin").touch()
    outcome = client.run("pull", "small")
    assert outcome.error == "ModelLoadError"
    assert f"{client.model_dir / 'small'} holds no complete model" in outcome.message
    assert (client.model_dir / "small" / "model.bin").exists()


def test_a_piper_voice_is_pulled_as_a_pair(hub: Hub, client: Client) -> None:
    folder = "en/en_US/lessac/medium"
    hub.repositories["rhasspy/piper-voices"] = {
        f"{folder}/en_US-lessac-medium.onnx": WEIGHTS,
        f"{folder}/en_US-lessac-medium.onnx.json": VOICE_CONFIG,
        f"{folder}/MODEL_CARD": b"no need",
    }
    outcome = client.run("pull", "en_US-lessac-medium")
    assert outcome.path == client.model_dir / "piper" / "en_US-lessac-medium.onnx", outcome
    voices = ModelStore(client.model_dir, offline=True).find_piper_voices(client.model_dir / "none")
    assert [voice.voice_id for voice in voices] == ["en_US-lessac-medium", "en_US-joe-medium"]
    assert voices[0].model_path.read_bytes() == WEIGHTS
    assert hub.fetched("MODEL_CARD") == []


def test_an_unknown_voice_names_the_nearest(hub: Hub, client: Client) -> None:
    hub.repositories["rhasspy/piper-voices"] = {"en/en_US/lessac/medium/en_US-lessac-medium.onnx": b"x"}
    outcome = client.run("pull", "en_US-lesac-medium")
    assert outcome.error == "ModelNotFoundError"
    assert "en_US-lessac-medium" in outcome.message


def test_without_the_client_the_message_says_what_to_install(client: Client, tmp_path: Path) -> None:
    (tmp_path / "shadow" / "huggingface_hub").mkdir(parents=True)
    (tmp_path / "shadow" / "huggingface_hub" / "__init__.py").write_text("raise ImportError('not installed')")
    client.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "shadow"), client.env.get("PYTHONPATH", "")])
    outcome = client.run("pull", "small")
    assert outcome.error == "ModelLoadError"
    assert "pip install 'voice-stack[asr]'" in outcome.message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/b"}, "/b"),
        ({"HF_HOME": "/c"}, "/c/hub"),
        ({"XDG_CACHE_HOME": "/d"}, "/d/huggingface/hub"),
        ({"HOME": "/e"}, "/e/.cache/huggingface/hub"),
    ],
)
def test_the_cache_lies_where_the_client_puts_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
    program = "import huggingface_hub.constants as c; print(c.HF_HUB_CACHE)"
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == expected
