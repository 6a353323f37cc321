"""The description of the API, and that both services keep to it.

For a long run: ``API_FUZZ_EXAMPLES=1000 pytest -s tests/core/test_openapi.py``.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.conftest import ROOT, SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of, served
from voice_stack.asr.app import create_app as create_asr
from voice_stack.tts.app import create_app as create_tts
from voice_stack.tts.engine import base as tts

EXAMPLES = int(os.environ.get("API_FUZZ_EXAMPLES", "3"))
KEY = "a-key-for-tests"
ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


class CloningEngine(FakeTtsEngine):
    """With it every route of the voices does something."""

    capabilities = tts.Capabilities(cloning=True, languages=("en", "de", "fr"))


@pytest.fixture(params=["asr", "tts"])
def app(request: pytest.FixtureRequest, make_settings: SettingsFactory) -> FastAPI:
    settings = make_settings(api_keys=KEY)
    if request.param == "asr":
        return create_asr(settings, FakeAsrEngine(can_detect=True, can_translate=True))
    return create_tts(settings, CloningEngine())


def operations(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return [(path, operation) for path, methods in paths.items() for operation in methods.values()]


def test_every_operation_tells_of_its_errors_as_they_are(app: FastAPI) -> None:
    for path, operation in operations(app):
        responses = operation["responses"]
        assert "422" not in responses, path
        assert {"403", "500", "503", "504"} <= responses.keys(), path
        assert (
            ("401" in responses)
            == ("security" in operation)
            == (not path.endswith(("health", "healthz", "healthcheck", "status")))
        )
        if "requestBody" in operation:
            assert {"400", "408", "413"} <= responses.keys(), path
        for status, answer in responses.items():
            if status >= "400" and (status, path) not in {("503", "/health"), ("503", "/healthcheck")}:
                assert answer["content"] == ENVELOPE, (path, status)
    assert "HTTPValidationError" not in app.openapi()["components"]["schemas"]


def test_without_keys_none_is_described(make_settings: SettingsFactory) -> None:
    app = create_tts(make_settings(), FakeTtsEngine())
    assert "securitySchemes" not in app.openapi()["components"]
    assert not [
        path for path, operation in operations(app) if "security" in operation or "401" in operation["responses"]
    ]


@pytest.mark.anyio
async def test_a_method_that_is_not_there_is_answered_with_those_that_are(make_settings: SettingsFactory) -> None:
    for root_path in ("", "/tts"):
        app = create_tts(make_settings(root_path=root_path), FakeTtsEngine())
        async with client_of(app) as client:
            for path, allowed in (
                ("/v1/audio/voices", "GET, POST"),
                ("/v1/audio/voices/anna", "DELETE, GET"),
                ("/v1/audio/voice_consents/x", "DELETE, GET, POST"),
                ("/v1/audio/speech", "POST"),
                ("/healthz", "GET, HEAD"),
            ):
                answer = await client.put(f"{root_path}{path}")
                assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
                assert answer.json()["error"]["code"] == "method_not_allowed"


def test_requests_made_up_from_the_description_are_answered_as_it_says(app: FastAPI, tmp_path: Path) -> None:
    with served(app) as url:
        command = [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(ROOT / "tests" / "support" / "schemathesis.toml"),
            ),
            *("run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {KEY}", "--checks", "all"),
            *("--max-examples", str(EXAMPLES), "--seed", "6", "--generation-database", "none", "--no-color"),
        ]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.api_fuzz", "PYTHONPATH": str(ROOT)}
        made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace")
    print("\n".join(line[:300] for line in made.stdout.splitlines()))
    assert made.returncode == 0, made.stderr[-2000:]
    assert "No tests" not in made.stdout
