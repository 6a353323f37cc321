"""The pages at ``/``: how they are served, and that they are whole and bring nothing from elsewhere."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.conftest import SettingsFactory
from tests.support.counts import samples_in
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of
from voice_stack import __version__
from voice_stack.asr.app import create_app as create_asr
from voice_stack.core.playground.routes import MEDIA_TYPES, STATIC
from voice_stack.core.settings import Service
from voice_stack.tts.app import create_app as create_tts
from voice_stack.utils.language.whisper import LANGUAGE_NAMES

pytestmark = pytest.mark.anyio

SERVICES: tuple[Service, ...] = ("asr", "tts")
FOLDERS = {name: Path(str(files("voice_stack") / name / "playground")) for name in SERVICES}
OWN = sorted({*STATIC.iterdir(), *(path for folder in FOLDERS.values() for path in folder.iterdir())})
WRITTEN_HERE = [path for path in OWN if not path.name.startswith(("wavesurfer.", "NOTICE"))]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Service:
    name: Service = request.param
    return name


def app_of(service: Service, make_settings: SettingsFactory, **settings: Any) -> FastAPI:
    if service == "asr":
        return create_asr(make_settings(**settings), FakeAsrEngine())
    return create_tts(make_settings(**settings), FakeTtsEngine())


class Page(HTMLParser):
    """The elements of a page: (name, attributes)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def values(self, *names: str) -> Iterator[str]:
        for _, attributes in self.elements:
            yield from (value for name in names if (value := attributes.get(name)) is not None)


async def test_the_page_is_served_with_a_strict_policy_and_a_new_nonce_each_time(
    service: Service, make_settings: SettingsFactory
) -> None:
    async with client_of(app_of(service, make_settings), ready=False) as client:
        first, second = [await client.get("/") for _ in range(2)]
        head = await client.head("/")
    nonces = [re.findall(r"'nonce-([\w-]{20,})'", page.headers["content-security-policy"]) for page in (first, second)]
    assert nonces[0] != nonces[1]
    policy = dict(part.split(" ", 1) for part in first.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": f"'self' 'nonce-{nonces[0][0]}'",
        "img-src": "'self' data:",
        "media-src": "'self' blob:",
        "connect-src": "'self' blob:",
        "base-uri": "'self'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert list(Page(first.text).values("nonce")) == nonces[0]
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-store", "a kept page would have an old nonce"
    assert first.headers["permissions-policy"].startswith("microphone=(self)")
    assert first.headers["x-frame-options"] == "DENY"
    assert (head.status_code, head.headers["content-type"]) == (200, first.headers["content-type"])


async def test_every_file_that_a_page_names_is_there_with_its_media_type(
    service: Service, make_settings: SettingsFactory
) -> None:
    async with client_of(app_of(service, make_settings), ready=False) as client:
        page = Page((await client.get("/")).text)
        named = {value for value in page.values("src", "href") if not value.startswith("#")}
        assert {"playground/base.css", "playground/page.js"} <= named
        checked: set[str] = set()
        while left := named - checked:
            path = left.pop()
            answer = await client.get(f"/{path}")
            assert answer.status_code == 200, path
            suffix = Path(path).suffix
            assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[suffix]
            checked.add(path)
            if suffix == ".js" and "wavesurfer" not in path:
                named |= {f"playground/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.text)}
                named |= set(re.findall(r'"(playground/[^"]+)"', answer.text))
    assert {"playground/common.js", "playground/wavesurfer.esm.js", "playground/config.json"} <= checked


async def test_files_are_asked_for_each_time_and_sent_only_where_they_changed(make_settings: SettingsFactory) -> None:
    async with client_of(app_of("asr", make_settings), ready=False) as client:
        for path in ("/playground/base.css", "/playground/config.json"):
            first = await client.get(path)
            assert first.headers["cache-control"] == "no-cache"
            again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert (await client.get(path, headers={"if-none-match": '"other"'})).content == first.content
            assert (await client.head(path)).headers["etag"] == first.headers["etag"]


ELSEWHERE = (
    *("../routes.py", "..%2froutes.py", "%2e%2e/routes.py", "..%5croutes.py", "routes.py", "index.html", "a.js", ""),
    *("/etc/passwd", "%2fetc%2fpasswd", "static", "base.css/", "base.css%00", "base.css%2f..%2f..%2froutes.py"),
)


async def test_nothing_else_of_the_disk_is_served(make_settings: SettingsFactory) -> None:
    async with client_of(app_of("asr", make_settings), ready=False) as client:
        for path in ELSEWHERE:
            answer = await client.get(f"/playground/{path}")
            assert answer.status_code in {307, 404}, path


async def test_the_page_needs_no_key_and_shows_none(service: Service, make_settings: SettingsFactory) -> None:
    app = app_of(service, make_settings, api_keys="very-secret", health_open=False, project_name="Ours & <mine>")
    async with client_of(app, ready=False) as client:
        answers = [await client.get(f"/{path}") for path in ("", *(f"playground/{name}" for name in names(service)))]
        config = (await client.get("/playground/config.json")).json()
        assert (await client.get("/health")).status_code == 401
        assert (await client.get("/playground/nothing.js")).status_code == 401
    assert {answer.status_code for answer in answers} == {200}
    assert not [answer.url for answer in answers if "very-secret" in answer.text]
    about = {"service": service, "title": "Ours & <mine>", "version": __version__, "api": "v1", "keys": True}
    assert about.items() <= config.items()


def names(service: Service) -> list[str]:
    return [path.name for path in (*STATIC.iterdir(), *FOLDERS[service].iterdir()) if path.suffix in MEDIA_TYPES]


async def test_the_page_learns_where_the_api_is(make_settings: SettingsFactory) -> None:
    app = app_of("asr", make_settings, api_v1_str="/api/v2", root_path="/voice/asr")
    async with client_of(app, ready=False) as client:
        for prefix in ("", "/voice/asr"):
            page = await client.get(f"{prefix}/")
            assert page.text.count('<head><base href="/voice/asr/">') == 1
            config = (await client.get(f"{prefix}/playground/config.json")).json()
            assert (config["api"], config["keys"]) == ("api/v2", False)
    async with client_of(app_of("asr", make_settings), ready=False) as client:
        assert "<base" not in (await client.get("/")).text, "what a proxy strips unasked is told by the address alone"


async def test_switched_off_there_is_no_page(service: Service, make_settings: SettingsFactory) -> None:
    async with client_of(app_of(service, make_settings, playground=False), ready=False) as client:
        for path in ("/", "/playground/base.css", "/playground/config.json"):
            assert (await client.get(path)).status_code == 404


async def test_the_page_is_no_part_of_the_api(service: Service, make_settings: SettingsFactory) -> None:
    async with client_of(app_of(service, make_settings)) as client:
        for path in ("/", "/playground/base.css", "/v1/models"):
            await client.get(path)
        described = (await client.get("/openapi.json")).json()["paths"]
        scraped = samples_in((await client.get("/metrics")).text)
    assert not [path for path in described if path == "/" or "playground" in path]
    routes = {sample.labels["route"] for sample in scraped if sample.name == "voice_stack_http_requests_total"}
    assert routes == {"/v1/models", "/openapi.json"}


def test_labels_and_descriptions_lead_to_elements_that_are_there(service: Service) -> None:
    page = Page((FOLDERS[service] / "index.html").read_text(encoding="utf-8"))
    ids = list(page.values("id"))
    assert len(ids) == len(set(ids))
    referred = " ".join(page.values("for", "aria-labelledby", "aria-describedby", "aria-controls")).split()
    assert set(referred) <= set(ids)
    scripts = "".join(path.read_text(encoding="utf-8") for path in (FOLDERS[service]).glob("*.js"))
    assert set(re.findall(r"\$\(\"([\w-]+)\"\)", scripts)) <= set(ids)


@pytest.mark.parametrize(
    "path", [path for path in WRITTEN_HERE if path.suffix in {".html", ".css", ".js", ".svg"}], ids=str
)
def test_a_page_brings_nothing_from_elsewhere_and_nothing_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "").replace("http://localhost", "")
    assert not re.search(r"(https?:)?//[\w-]+\.\w", text), "an address"
    assert not re.search(r"\beval\(|new Function|@import|\bon\w+=\"|\bstyle=\"|javascript:", text)
    if path.suffix == ".html":
        scripts = [attributes for tag, attributes in Page(text).elements if tag == "script"]
        assert all(script.get("src") for script in scripts)
        assert "<style" not in text


def test_vendored_files_are_as_they_were_published() -> None:
    notice = (STATIC / "NOTICE.txt").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^(\S+\.js) .*?sha256 (\w{64})", notice, re.MULTILINE | re.DOTALL))
    assert {path.name for path in OWN if path.name.startswith("wavesurfer.")} == {*listed, "wavesurfer.LICENSE.txt"}
    for name, digest in listed.items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


def test_the_languages_to_choose_from_are_whispers() -> None:
    script = (FOLDERS["asr"] / "languages.js").read_text(encoding="utf-8")
    assert " ".join(re.findall(r'^  "(.+?)\s?"', script, re.MULTILINE)).split() == sorted(LANGUAGE_NAMES)
