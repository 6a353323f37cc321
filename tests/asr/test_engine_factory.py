"""Which speech to text engine is built, and what is imported for it."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import SettingsFactory
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
