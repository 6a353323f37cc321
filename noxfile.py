"""Sessions for nox. Tools, extras and commands are those of hatch's default environment in pyproject.toml."""

import shlex

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
ENVIRONMENT = nox.project.load_toml("pyproject.toml")["tool"]["hatch"]["envs"]["default"]

nox.options.sessions = ["ci"]
# A Python that is not on this machine is skipped, on CI machines as well.
nox.options.error_on_missing_interpreters = False


def _install(session: nox.Session) -> None:
    extras = ",".join(ENVIRONMENT["features"])
    session.install("--editable", f".[{extras}]", *ENVIRONMENT["dependencies"])


def _run_script(session: nox.Session, name: str) -> None:
    commands = ENVIRONMENT["scripts"][name]
    for command in [commands] if isinstance(commands, str) else commands:
        session.run(*shlex.split(command))


@nox.session
def fmt(session: nox.Session) -> None:
    """Rewrite the code with Black and Ruff."""
    _install(session)
    _run_script(session, "fmt")


@nox.session
def lint(session: nox.Session) -> None:
    """Check with Black, Ruff and mypy."""
    _install(session)
    _run_script(session, "lint")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check with mypy."""
    _install(session)
    _run_script(session, "typecheck")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run pytest; arguments after ``--`` are its own."""
    _install(session)
    session.run("python", "scripts/fetch_test_speech.py")
    session.run("pytest", *session.posargs)


@nox.session(venv_backend="none")
def ci(session: nox.Session) -> None:
    """Queue lint, then the tests for each Python found."""
    session.notify("lint")
    for python in PYTHONS:
        session.notify(f"tests-{python}")
