#!/usr/bin/env bash
# Removes the speech to text service (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" uninstall asr "$@"
