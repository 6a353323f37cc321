"""docker-compose.yml as it is: the services on the CPU for real, the rest as far as no GPU and no registry allow."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, OpenAI
from scripts.round_trip import SENTENCE

from tests.conftest import ROOT
from tests.deploy.engine import Engine
from tests.support.serving import free_port, wait_until
from tests.support.wer import english_word_error_rate

KEY = "one-of-several"
PROMETHEUS = Path("deploy/prometheus/compose.yml")
KEY_INSIDE = "/etc/prometheus/voice-stack.key"

# The engine of the tests gives builds no network but this host's.
BUILD = "services: {asr: {build: {network: host}}, tts: {build: {network: host}}}\n"


class Project:
    """A clone that docker-compose works in, with an engine and free ports."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.ports = {"asr": free_port(), "tts": free_port()}

    def run(self, *arguments: str) -> str:
        """What docker-compose writes to standard output."""
        done = subprocess.run(
            ["docker-compose", "--project-name", "vs-test", *arguments],
            cwd=self.folder,
            env=self.engine.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def about(self, service: str) -> dict[str, Any]:
        """The container of a service, as docker inspect has it."""
        found = json.loads(self.engine.out("inspect", self.run("ps", "--quiet", service).strip()))
        about: dict[str, Any] = found[0]
        return about

    def wait_healthy(self, service: str) -> None:
        """Wait until the image's HEALTHCHECK, which has its own pace here, says so."""
        wait_until(lambda: self.about(service)["State"]["Health"]["Status"] == "healthy", timeout_s=90)

    def client(self, service: str, key: str = KEY) -> OpenAI:
        """For a service, through its published port."""
        return OpenAI(base_url=f"http://127.0.0.1:{self.ports[service]}/v1", api_key=key, max_retries=0)

    def left_over(self) -> list[str]:
        """Its containers, volumes and networks."""
        mine = ("--quiet", "--filter", "label=com.docker.compose.project=vs-test")
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [found for kind in kinds for found in self.engine.out(*kind, *mine).split()]


@pytest.fixture(scope="module")
def project(images: Engine, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Both services, started as docs/CONTAINERS.md says, with keys."""
    project = Project(images, shutil.copytree(clone, tmp_path_factory.mktemp("compose") / "voice-stack", symlinks=True))
    # Settings of a service outside of containers, as .env may hold them, do no harm.
    (project.folder / "settings.env").write_text(f"API_KEYS=another,{KEY}\nMODEL_DIR=/nowhere\nTTS_VOICE_DIR=voices\n")
    (project.folder / "build.yml").write_text(BUILD)
    ports = "".join(f"PORT_{service.upper()}={port}\n" for service, port in project.ports.items())
    (project.folder / ".env").write_text(
        "COMPOSE_PROFILES=cpu\nCOMPOSE_FILE=docker-compose.yml:build.yml\nENV_FILE=settings.env\nMEMORY_TTS=1g\n"
        + ports
    )
    try:
        project.run("up", "--detach", "--build")
        for service in project.ports:
            project.wait_healthy(service)
        yield project
    finally:
        project.run("down", "--volumes")
    assert project.left_over() == []


@pytest.mark.parametrize("profiles", [["cpu"], ["gpu"], ["monitoring"], ["cpu", "monitoring"], ["gpu", "monitoring"]])
def test_each_profile_is_valid(clone: Path, profiles: list[str]) -> None:
    named = [part for profile in profiles for part in ("--profile", profile)]
    done = subprocess.run(["docker-compose", *named, "config", "--quiet"], cwd=clone, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_file_reads_is_told_at_its_top_and_in_the_guide() -> None:
    head, _, rest = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("x-service:")
    guide = (ROOT / "docs" / "CONTAINERS.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\$\{(\w+)", rest))
    assert "MEMORY_ASR" in names
    for text in (head, guide):
        assert names - set(re.findall(r"\w+", text)) == set()


def test_the_services_understand_each_other_and_are_locked_in(project: Project) -> None:
    with project.client("tts") as tts, project.client("asr") as asr:
        speech = tts.audio.speech.create(model="tts-1", voice="alloy", input=SENTENCE).content
        heard = asr.audio.transcriptions.create(model="whisper-1", file=("speech.mp3", speech)).text
    assert english_word_error_rate([SENTENCE], [heard]) <= 0.1, heard
    with project.client("asr", "wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.list()

    for service, memory_bytes in (("asr", 4 << 30), ("tts", 1 << 30)):
        about = project.about(service)
        host = about["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["Init"]) == (True, ["ALL"], True)
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert (host["Memory"], host["PidsLimit"]) == (memory_bytes, 1024)
        assert {each["HostIp"] for each in host["PortBindings"].popitem()[1]} == {"127.0.0.1"}
        assert about["Config"]["StopTimeout"] == 45 > 30
        assert "SHUTDOWN_GRACE_S=30" in about["Config"]["Env"]


def test_a_service_that_is_killed_comes_back(project: Project) -> None:
    before = project.about("asr")
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    wait_until(lambda: project.about("asr")["RestartCount"] == before["RestartCount"] + 1)
    project.wait_healthy("asr")
    with project.client("asr") as asr:
        assert asr.models.list().data


def test_prometheus_gets_the_numbers_of_both_with_a_key(project: Project, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    config = tmp_path / "prometheus.yml"
    text = (ROOT / PROMETHEUS).read_text(encoding="utf-8").replace(KEY_INSIDE, str(key_file))
    for service, port in project.ports.items():
        text = re.sub(rf"\b{service}:\d+", f"127.0.0.1:{port}", text)
    config.write_text(text.replace("15s", "1s"))
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "log").open("wb") as log:
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address={address}"],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _up(address) == ["1", "1"])
    finally:
        prometheus.terminate()
        prometheus.wait(30)


def _up(address: str) -> list[str]:
    try:
        answer = httpx.get(f"http://{address}/api/v1/query", params={"query": "up"})
    except httpx.TransportError:
        return []
    # It answers 503 while it starts.
    return [found["value"][1] for found in answer.json()["data"]["result"]] if answer.is_success else []


def test_prometheus_takes_the_configuration_where_no_key_is_set(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    no_key = str(ROOT / PROMETHEUS.with_name("no.key"))
    config.write_text((ROOT / PROMETHEUS).read_text(encoding="utf-8").replace(KEY_INSIDE, no_key))
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_grafana_finds_the_dashboard_and_the_data_where_they_are_mounted() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    provider = (ROOT / "deploy/grafana/provisioning/dashboards/voice-stack.yml").read_text(encoding="utf-8")
    (folder,) = re.findall(r"path: (\S+)", provider)
    assert f"./deploy/grafana/voice-stack.json:{folder}/voice-stack.json:ro" in compose
    source = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    assert "url: http://prometheus:9090" in source
    assert "\n  prometheus:\n" in compose
