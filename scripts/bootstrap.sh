# shellcheck shell=bash
# Sourced by quickstart.sh and the scripts that test: makes environments with hatch, writing only inside the project folder.
# Written for bash 3.2, which is what macOS has; before a Python is found only shell built-ins are used.

ROOT="${BASH_SOURCE[0]%/*}"
[ "$ROOT" != "${BASH_SOURCE[0]}" ] || ROOT=.
ROOT="$(cd "$ROOT/.." && pwd -P)"
cd "$ROOT" || exit 1

HATCH_REQUIREMENT="hatch>=1.18,<2"
INSTALL_LOG=".hatch/logs/install.log"
# shellcheck disable=SC2034 # for the scripts that source this
VENV_PYTHON=".venv/bin/python"
BOOTSTRAP_PYTHON=""
BASE_STAMP="" # what a virtual environment cannot outlive: its Python, and its place (scripts in it hold absolute paths)
job=""

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs a command in a process group of its own: bash then answers signals at once instead of after the
# command, and stop_job ends the grandchildren too (hatch's pip).
run_job() {
    local status=0
    set -m
    "$@" </dev/null &
    job=$!
    set +m
    wait "$job" || status=$?
    job=""
    return "$status"
}

stop_job() {
    [ -z "$job" ] || kill -TERM -- "-$job" 2>/dev/null || true
    job=""
}

trap stop_job EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

usable_python() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

# Sets BOOTSTRAP_PYTHON and BASE_STAMP. The Python of an earlier run comes before those on PATH, so that a second run from a shell
# with another default Python does not rebuild the environment.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" .hatch/venv/bin/python python3 python3.13 python3.12 python3.11 python3.10; do
        if [ -n "$candidate" ] && usable_python "$candidate"; then
            BOOTSTRAP_PYTHON="$("$candidate" -c 'import sys; print(sys._base_executable)')"
            BASE_STAMP="# Python $("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])') in $ROOT"
            return
        fi
    done
    die "No Python 3.10 or newer with the venv module was found: install one (on Debian: apt install python3-venv)" \
        "or name yours with PYTHON=/path/to/python3."
}

environment_stamp() {
    say "$BASE_STAMP"
    cat pyproject.toml
}

# The mark outlives a kill: what it stands beside is then half made.
mark_of() { say ".hatch/making-${1#.}"; }

environment_ready() { # FOLDER
    [ ! -e "$(mark_of "$1")" ] && environment_stamp | cmp -s - "$1/.made-from" && "$1/bin/python" -c '' 2>/dev/null
}

hatch_settings() {
    export HATCH_PYTHON="$BOOTSTRAP_PYTHON"
    export HATCH_DATA_DIR="$ROOT/.hatch/data"
    export HATCH_CACHE_DIR="$ROOT/.hatch/cache"
    export HATCH_CONFIG="$ROOT/.hatch/config.toml"
    export VIRTUALENV_OVERRIDE_APP_DATA="$ROOT/.hatch/virtualenv"
    # Or else a file .venv that leads to another environment takes the place of the folder.
    export VIRTUALENV_VENV_REDIRECT=false
    # A host's pip configuration (indexes, mirrors) stays in force; --user would be refused in a virtual environment.
    export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1
    unset HATCH_ENV HATCH_ENV_ACTIVE HATCH_PROJECT PYTHONHOME PYTHONPATH
    [ -f "$HATCH_CONFIG" ] || : >"$HATCH_CONFIG"
}

hatch() { .hatch/venv/bin/python -m hatch "$@"; }

install_step() {
    run_job "$@" >>"$INSTALL_LOG" 2>&1 && return
    if tail -n 40 "$INSTALL_LOG" | grep -qE 'ConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|Max retries'; then
        die "The package index could not be reached: check the network, then run this again" \
            "(pip's own words are in $ROOT/$INSTALL_LOG)."
    fi
    die "Installing failed at '$*' ($(grep -E '^ *(ERROR|error):' "$INSTALL_LOG" | tail -n 1)):" \
        "the whole log is in $ROOT/$INSTALL_LOG."
}

make_hatch() {
    local stamp
    stamp="$BASE_STAMP, $HATCH_REQUIREMENT"
    [ "$stamp" != "$(cat .hatch/venv/.made-from 2>/dev/null)" ] || return 0
    rm -rf .hatch/venv
    install_step "$BOOTSTRAP_PYTHON" -m venv .hatch/venv
    install_step .hatch/venv/bin/python -m pip install -q "$HATCH_REQUIREMENT"
    say "$stamp" >.hatch/venv/.made-from
}

make_environment() { # NAME FOLDER
    if [ -e "$(mark_of "$2")" ] || ! "$2/bin/python" -c 'import pip' 2>/dev/null ||
        { [ -e "$2/.made-from" ] && [ "$(head -n 1 "$2/.made-from")" != "$BASE_STAMP" ]; }; then
        rm -rf "$2" .hatch/data
    fi
    : >"$(mark_of "$2")"
    if [ -e "$2" ]; then
        # Hatch adds missing dependencies but leaves the project's own metadata (version, commands) as they were.
        install_step hatch -e "$1" run python -m pip install -q --no-deps --editable .
    else
        install_step hatch -e "$1" run python -c ''
    fi
    environment_stamp >"$2/.made-from"
    rm -f "$(mark_of "$2")"
}

# The lock is the kernel's, on an open file that this shell and its jobs share: it ends with the last of them,
# also after kill -9, so that a killed run's pip is never working beside the next run's.
lock() {
    exec 9>.hatch/lock
    run_job "$BOOTSTRAP_PYTHON" -c '
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another set-up is at work here: waiting for it.", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
'
}

unlock() { exec 9>&-; }

# Leaves a complete .venv and a usable `hatch` function, or ends the script with one sentence.
prepare_environment() { prepare default .venv; }

prepare() { # NAME FOLDER of one of hatch's environments
    mkdir -p .hatch/logs
    hatch_settings
    lock
    if ! environment_ready "$2" || ! usable_python .hatch/venv/bin/python; then
        say "Installing into $2 (one to five minutes the first time; details in $INSTALL_LOG) ..."
        : >"$INSTALL_LOG"
        make_hatch
        make_environment "$1" "$2"
    fi
    unlock
}
