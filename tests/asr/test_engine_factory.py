"""Which speech to text engine is built, and what is imported for it."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from tests.conftest import SettingsFactory
from voice_stack.asr.engine.base import TranscribeOptions
from voice_stack.asr.engine.tasks import WindowTask
from voice_stack.asr.engine.windowed import WindowedEngine
from voice_stack.asr.engine_factory import create_engine
from voice_stack.core.errors import ConfigurationError

BUILD = """
import sys
from voice_stack.asr.engine_factory import create_engine
from voice_stack.core.settings import Settings
engine = create_engine(Settings(_env_file=None, asr_engine=sys.argv[1], asr_model="small", asr_device="cpu"))
print(engine.name, engine.model, engine.device, sep=",")
print(*sorted({"torch", "whisper", "faster_whisper", "ctranslate2"} & set(sys.modules)), sep=",")
print(*sorted(name for name in sys.modules if name.startswith("voice_stack.asr.engine.")), sep=",")
"""


@pytest.mark.parametrize(
    ("name", "library", "module", "other"),
    [
        ("faster-whisper", "faster_whisper", "fasterwhisper", "whisper"),
        ("whisper", "whisper", "whisper", "fasterwhisper"),
    ],
)
def test_the_engine_that_is_named_is_built_and_no_other_is_imported(
    name: str, library: str, module: str, other: str
) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed here")
    done = subprocess.run([sys.executable, "-c", BUILD, name], capture_output=True, text=True, check=True)
    built, libraries, modules = done.stdout.splitlines()
    assert built == f"{name},small,cpu"
    assert libraries == ""
    assert f"voice_stack.asr.engine.{module}" in modules.split(",")
    assert f"voice_stack.asr.engine.{other}" not in modules.split(",")


@pytest.mark.parametrize(
    ("engine", "missing", "extras"),
    [
        ("faster-whisper", "faster_whisper", "asr"),
        ("whisper", "whisper", "asr,whisper"),
    ],
)
def test_an_engine_that_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, make_settings: SettingsFactory, engine: str, missing: str, extras: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=rf"{engine}.*{missing}.*pip install 'voice-stack\[{extras}\]'"):
        create_engine(make_settings(asr_engine=engine))


@pytest.mark.parametrize(("decode", "windows_at_once"), [(None, 4), ("batched", 4), ("accurate", 1)])
def test_the_way_to_decode_that_is_set_is_the_engines(
    make_settings: SettingsFactory, decode: str | None, windows_at_once: int
) -> None:
    changes = {} if decode is None else {"asr_decode": decode}
    engine = create_engine(make_settings(asr_engine="faster-whisper", asr_device="cpu", **changes))
    assert isinstance(engine, WindowedEngine)
    assert engine._most(WindowTask(np.zeros(0, np.float32), TranscribeOptions())) == windows_at_once
    assert engine._window_s(3.0) == (30.0 if decode == "accurate" else 8.0)
