"""nginx and HAProxy, started from the examples in deploy/ with other addresses, ports and paths."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.serving import ServiceProcess, free_port, service_process, wait_until

NAME = "voice.example.org"

_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log info; user root; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/voice-stack.conf;
}}
"""


@dataclass(frozen=True)
class Services:
    """Both services, set up as the examples say."""

    asr: ServiceProcess
    tts: ServiceProcess


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of both."""

    url: str
    port: int
    trust: ssl.SSLContext
    folder: Path


@contextmanager
def both_services(folder: Path, model_dir: Path) -> Iterator[Services]:
    """Both services behind a proxy's paths."""
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", "TTS_MAX_INPUT_CHARS": "20000"}
    for name in ("asr", "tts"):
        (folder / name).mkdir()
    with (
        service_process("asr", folder / "asr", env={**env, "ROOT_PATH": "/asr"}) as asr,
        service_process("tts", folder / "tts", env={**env, "ROOT_PATH": "/tts"}) as tts,
    ):
        yield Services(asr, tts)


@contextmanager
def proxy_process(kind: str, services: Services, folder: Path) -> Iterator[Proxy]:
    """``nginx`` or ``haproxy`` in front of them."""
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    certificate, key = _certificate(folder)
    plain, port = free_port(), free_port()
    ports = {"127.0.0.1:5001": _address(services.asr), "127.0.0.1:5002": _address(services.tts)}
    if kind == "nginx":
        changed = {
            **ports,
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            f"/etc/ssl/certs/{NAME}.pem": str(certificate),
            f"/etc/ssl/private/{NAME}.key": str(key),
        }
        (folder / "voice-stack.conf").write_text(_changed(ROOT / "deploy/nginx/voice-stack.conf", changed))
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    else:
        (folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
        changed = {
            **ports,
            "bind :80\n": f"bind 127.0.0.1:{plain}\n",
            "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
            f"/etc/haproxy/{NAME}.pem": str(folder / "both.pem"),
            "log /dev/log local0": "log stdout format raw local0",
        }
        (folder / "haproxy.cfg").write_text(_changed(ROOT / "deploy/haproxy/haproxy.cfg", changed))
        command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
    trust = ssl.create_default_context(cafile=str(certificate))
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, (folder / "proxy.log").read_text()
            yield Proxy(f"https://127.0.0.1:{port}", port, trust, folder)
        finally:
            process.terminate()
            process.wait(30)


def _changed(example: Path, changes: Mapping[str, str]) -> str:
    text = example.read_text(encoding="utf-8")
    for before, after in changes.items():
        assert before in text, f"{before} is not in {example.name}"
        text = text.replace(before, after)
    return text


def _address(service: ServiceProcess) -> str:
    return service.base_url.removeprefix("http://")


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={NAME}", "-addext", names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


def _listens(port: int) -> bool:
    listening = f":{port:04X} 00000000:0000 0A"
    return listening in Path("/proc/net/tcp").read_text()
