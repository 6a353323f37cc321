#!/usr/bin/env bash
# Tries the pages and the protocols with real clients: a browser without a window, OpenAI's SDKs for Python and
# JavaScript. Installs what that takes: as root, Debian's packages that are missing; everything else in this folder.
# Runs everything without arguments, otherwise pytest with these arguments.
set -euo pipefail

HERE="${BASH_SOURCE[0]%/*}"
[ "$HERE" != "${BASH_SOURCE[0]}" ] || HERE=.
# shellcheck source=scripts/bootstrap.sh
. "$HERE/bootstrap.sh"

NPM_PACKAGES="openai@6.49.0 ws@8.23.0 axe-core@4.14.1"
NPM_FOLDER=.cache/clients
PYTHON_OF_TESTS=.venv-clients/bin/python

install_system_packages() {
    local missing=()
    command -v chromium >/dev/null 2>&1 || missing+=(chromium)
    command -v node >/dev/null 2>&1 || missing+=(nodejs)
    command -v npm >/dev/null 2>&1 || missing+=(npm)
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        die "Install these first, or run this as root on Debian or Ubuntu, which installs them: ${missing[*]}"
    fi
    say "Installing ${missing[*]} ..."
    { run_job apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive run_job apt-get install -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
        die "Installing failed; install these by hand: ${missing[*]}"
}

# No lock file: it would name the registry that it was made with. All of these are pinned, and none has dependencies.
install_npm_packages() {
    [ "$NPM_PACKAGES" != "$(cat "$NPM_FOLDER/.made-from" 2>/dev/null)" ] || return 0
    say "Installing $NPM_PACKAGES ..."
    mkdir -p "$NPM_FOLDER"
    local packages
    read -r -a packages <<<"$NPM_PACKAGES"
    run_job npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
        --prefix "$NPM_FOLDER" "${packages[@]}" ||
        die "npm could not install $NPM_PACKAGES: check the network, then run this again."
    say "$NPM_PACKAGES" >"$NPM_FOLDER/.made-from"
}

find_python
install_system_packages
install_npm_packages
prepare clients .venv-clients
run_job "$PYTHON_OF_TESTS" scripts/fetch_test_speech.py || exit 1

export CLIENTS_NODE_MODULES="$ROOT/$NPM_FOLDER/node_modules"
if [ $# -gt 0 ]; then
    exec "$PYTHON_OF_TESTS" -m pytest "$@"
fi
exec "$PYTHON_OF_TESTS" -m pytest tests/clients
