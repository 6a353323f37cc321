"""The routes of the Hugging Face hub that a download uses, served from memory by a real HTTP server."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "0123456789abcdef0123456789abcdef01234567"

_INFO = re.compile(r"/api/models/(?P<repository>[^/]+/[^/?]+)(?:/revision/[^/?]+)?")
_FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/[^/]+/(?P<path>[^?]+)")


class Hub(ThreadingHTTPServer):
    """A hub on a free port of this machine. ``requests`` records (method, path, Range header)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.delay_s = 0.0  # between pieces of 64 KiB
        self.silent = False
        self.damaged = False  # every file differs from its checksum
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fetched(self, name: str) -> list[str | None]:
        """The Range headers of the GETs for a file, in order."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the base class)
        """Nothing on stderr, where a test may look for a progress bar."""

    def _answer(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        while self.server.silent:
            time.sleep(0.05)
        match = _INFO.fullmatch(self.path) or _FILE.fullmatch(self.path)
        repository = match.group("repository") if match else ""
        if repository in self.server.gated:
            return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        files = self.server.repositories.get(repository)
        if match is None or files is None:
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        if match.re is _INFO:
            siblings = [{"rfilename": name} for name in files]
            body = json.dumps({"id": repository, "sha": REVISION, "siblings": siblings}).encode()
            return self._send(200, body, {"Content-Type": "application/json"})
        content = files.get(match.group("path"))
        if content is None:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(content).hexdigest()
        if self.server.damaged:
            content = bytes(len(content))
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if span and self.command == "GET":
            start = int(span.group(1))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._send(206, content[start:], headers)
        return self._send(200, content, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for start in range(0, len(body), 65536):
                self.wfile.write(body[start : start + 65536])
                time.sleep(self.server.delay_s)
        except OSError:  # the client was killed, as a test wants
            self.close_connection = True


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve in a thread until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.silent = False
        hub.shutdown()
        hub.server_close()
        thread.join()
