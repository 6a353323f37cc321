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

if [ $# -gt 0 ]; then
    exec "$VENV_PYTHON" -m pytest "$@"
fi
run_job hatch run lint || die "Lint failed: 'hatch run fmt' repairs what can be repaired."
run_job "$VENV_PYTHON" -m pytest
prepare torch .venv-torch
# Batches are faster-whisper's alone, and tested above.
run_job .venv-torch/bin/python -m pytest tests/asr/engine tests/asr/test_engine_factory.py \
    --ignore-glob='tests/asr/engine/test_batch*.py'
prepare xtts .venv-xtts
exec .venv-xtts/bin/python -m pytest tests/tts/engine/test_coqui.py tests/tts/test_cloned_speech.py
