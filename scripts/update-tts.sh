#!/usr/bin/env bash
# Updates the text to speech service to what this clone holds, or puts the old one back (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" update tts "$@"
