#!/usr/bin/env bash
# Updates the speech to text service to what this clone holds, or puts the old one back (see --help).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/service.sh" update asr "$@"
