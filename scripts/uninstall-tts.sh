#!/usr/bin/env bash
# Removes the text to speech service (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" uninstall tts "$@"
