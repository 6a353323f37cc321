"""No command line is ever made of what a user sent: nothing in the package runs other programs but itself."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "voice_stack"

OTHER_PROGRAMS = {"subprocess", "pty", "pexpect", "commands"}
RUNNING = {"system", "popen", "startfile", "create_subprocess_exec", "create_subprocess_shell"}
RUNNING_PREFIXES = ("exec", "spawn", "posix_spawn")
CODE = {"eval", "exec", "compile", "__import__"}

# By the module: the process replaces itself by one with the same command line, and starts itself anew for decoders.
ALLOWED = {"core/server.py": {"os.execv"}, "utils/audio/decoder_process.py": {"subprocess"}}


def findings(code: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names if alias.name.partition(".")[0] in OTHER_PROGRAMS}
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in OTHER_PROGRAMS:
                found.add(module)
            case ast.Attribute(value=ast.Name(id=("os" | "asyncio") as owner), attr=name):
                if name in RUNNING or name.startswith(RUNNING_PREFIXES):
                    found.add(f"{owner}.{name}")
            case ast.Call(func=ast.Name(id=name)) if name in CODE:
                found.add(name)
            case ast.ImportFrom(module="os" | "asyncio", names=names):
                found |= {alias.name for alias in names if alias.name in RUNNING or alias.name.startswith("exec")}
            case ast.keyword(arg="shell"):
                found.add("shell=")
    return found


def test_no_module_runs_other_programs_or_code_from_a_text() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        assert findings(path.read_text(encoding="utf-8")) <= ALLOWED.get(name, set()), name


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess",
        "from subprocess import run",
        "import os\nos.system(x)",
        "import os\nos.popen(x)",
        "from os import execvp",
        "import asyncio\nasyncio.create_subprocess_shell(x)",
        "eval(x)",
        "call(x, shell=True)",
    ],
)
def test_what_runs_other_programs_is_found(code: str) -> None:
    assert findings(code)
