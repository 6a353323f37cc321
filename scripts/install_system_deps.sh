#!/usr/bin/env bash
# Installs what the services need of Debian 12 or 13, or of Ubuntu 22.04 or newer: Python with venv, and certificates.
# FFmpeg's libraries, CTranslate2 and ONNX Runtime come with the Python packages and bring what they need.
set -euo pipefail

case "${1:-}" in
    "") ;;
    -h | --help)
        printf 'Usage: install_system_deps.sh\nInstalls python3, python3-venv and ca-certificates with apt-get.\n'
        exit 0
        ;;
    *)
        printf "Unknown option '%s'; it takes none but --help\n" "$1" >&2
        exit 2
        ;;
esac

command -v apt-get >/dev/null 2>&1 || {
    printf 'This needs Debian or Ubuntu; elsewhere install Python 3.10 or newer with its venv module.\n' >&2
    exit 1
}
missing=()
for package in python3 python3-venv ca-certificates; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" = 0 ]; then
    printf 'Nothing is missing.\n'
else
    [ "$(id -u)" = 0 ] || {
        printf 'Installing %s needs root: sudo ./scripts/install_system_deps.sh\n' "${missing[*]}" >&2
        exit 1
    }
    printf 'Installing %s ...\n' "${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}"
fi
python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' || {
    printf 'python3 here is %s; the services need 3.10 or newer.\n' "$(python3 -V)" >&2
    exit 1
}
