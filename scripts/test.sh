#!/usr/bin/env bash
# Installs what the tests need and runs them: everything without arguments, otherwise pytest with these arguments.
set -euo pipefail

HERE="${BASH_SOURCE[0]%/*}"
[ "$HERE" != "${BASH_SOURCE[0]}" ] || HERE=.
# shellcheck source=scripts/bootstrap.sh
. "$HERE/bootstrap.sh"

find_python
prepare_environment
run_job "$VENV_PYTHON" scripts/fetch_test_speech.py || exit 1

if [ $# -eq 0 ]; then
    run_job hatch run lint || die "Lint failed: 'hatch run fmt' repairs what can be repaired."
fi
exec "$VENV_PYTHON" -m pytest "$@"
