#!/usr/bin/env bash
# Installs the text to speech service of this clone as a unit of systemd (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" install tts "$@"
