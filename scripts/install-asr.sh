#!/usr/bin/env bash
# Installs the speech to text service of this clone as a unit of systemd (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" install asr "$@"
