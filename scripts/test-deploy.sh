#!/usr/bin/env bash
# Tries the services on real systems: a booted Debian, a Docker engine, nginx, HAProxy, Prometheus. Needs root on Debian
# or Ubuntu; installs what that takes. Runs everything without arguments, otherwise pytest with these arguments.
set -euo pipefail

HERE="${BASH_SOURCE[0]%/*}"
[ "$HERE" != "${BASH_SOURCE[0]}" ] || HERE=.
# shellcheck source=scripts/bootstrap.sh
. "$HERE/bootstrap.sh"

# Command and package of each thing that the tests start.
NEEDED="debootstrap:debootstrap systemd-nspawn:systemd-container dockerd:docker.io docker-compose:docker-compose
    nginx:nginx-light haproxy:haproxy promtool:prometheus git:git curl:curl npm:npm rsync:rsync"

install_needed() {
    local entry missing=()
    for entry in $NEEDED; do
        command -v "${entry%%:*}" >/dev/null 2>&1 || missing+=("${entry#*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "Installing ${missing[*]} ..."
    # Debian starts what it installs; the tests start their own.
    local policy=/usr/sbin/policy-rc.d ours=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours="$policy"
    fi
    local status=0
    { run_job apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive run_job apt-get install -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
        status=$?
    [ -z "$ours" ] || rm -f "$ours"
    [ "$status" = 0 ] || die "Installing failed; install these by hand: ${missing[*]}"
}

[ "$(id -u)" = 0 ] || die "Containers and booted systems need root: sudo ./scripts/test-deploy.sh"
PATH="$PATH:/usr/sbin:/sbin"
command -v apt-get >/dev/null 2>&1 || die "This needs Debian or Ubuntu (apt-get was not found)."
install_needed
find_python
prepare_environment
run_job "$VENV_PYTHON" scripts/fetch_test_speech.py || exit 1

if [ $# -gt 0 ]; then
    exec "$VENV_PYTHON" -m pytest "$@"
fi
exec "$VENV_PYTHON" -m pytest tests/deploy
