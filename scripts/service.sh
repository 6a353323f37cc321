#!/usr/bin/env bash
# Installs, updates and removes the services as units of systemd: what install-asr.sh and its neighbours run.
# Needs root, Debian or another system with systemd, and Python 3.10 or newer with venv.
set -euo pipefail
umask 022

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
ROOT="${HERE%/*}"
action="${1:-}"
service="${2:-}"
case "$action $service" in
    "install asr" | "install tts" | "update asr" | "update tts" | "uninstall asr" | "uninstall tts") shift 2 ;;
    *)
        printf 'Usage: service.sh install|update|uninstall asr|tts [options]\n' >&2
        exit 2
        ;;
esac
unit="voice-stack-$service"
# shellcheck source=scripts/service-lib.sh
. "$HERE/service-lib.sh"

user="" prefix="" device="" engine="" model="" port="" timeout_s=1800
rollback="" purge="" yes=""

usage() {
    local engines="faster-whisper or whisper (default: faster-whisper)" own_port=5001
    local models="a Whisper size, hub id, folder or file (default: base)"
    if [ "$service" = tts ]; then
        engines="piper or coqui (default: piper)" own_port=5002
        models="of coqui: a model name or the folder of a checkpoint"
    fi
    say "Usage: $action-$service.sh [options]"
    case "$action" in
        install)
            cat <<TEXT

Installs the service $unit from this clone and starts it; run again, it changes what the options say and keeps the rest.

  --user NAME      system user that it runs as, made where it is missing (default: voice-stack)
  --prefix FOLDER  where releases are kept (default: /opt/voice-stack)
  --device WHERE   auto, cpu, cuda or cuda:N (default: auto)
  --engine NAME    $engines
  --model NAME     $models
  --port N         port to listen on (default: $own_port)
  --timeout S      seconds until the service must be healthy, downloads included (default: 1800)
TEXT
            ;;
        update)
            cat <<TEXT

Installs what this clone holds now beside the release that runs, restarts the service with it, and puts the old one back
when the new one does not become healthy.

  --rollback       go back to the release before this one instead
  --timeout S      seconds until the service must be healthy, downloads included (default: 1800)
TEXT
            ;;
        uninstall)
            cat <<TEXT

Stops and removes the service. Settings, voices and models stay.

  --purge          remove them, too, and the user if it was made by the installation
  --yes            do not ask
  --prefix FOLDER  where releases are kept, should the unit be gone already (default: /opt/voice-stack)
TEXT
            ;;
    esac
}

refuse() {
    printf '%s\n' "$*" >&2
    exit 2
}

read_options() {
    local known
    case "$action" in
        install) known=" --user --prefix --device --engine --model --port --timeout --yes " ;;
        update) known=" --rollback --timeout --yes " ;;
        uninstall) known=" --purge --yes --prefix " ;;
    esac
    while [ $# -gt 0 ]; do
        case "$1" in
            -h | --help)
                usage
                exit 0
                ;;
        esac
        [ "${known#* "$1" }" != "$known" ] || refuse "Unknown option '$1'; see $action-$service.sh --help"
        case "$1" in
            --yes) yes=1 ;;
            --purge) purge=1 ;;
            --rollback) rollback=1 ;;
            *)
                [ $# -ge 2 ] && [ -n "$2" ] || refuse "$1 needs a value; see $action-$service.sh --help"
                [[ "$2" != *$'\n'* ]] || refuse "$1: a value is one line"
                case "$1" in
                    --user) user="$2" ;;
                    --prefix) prefix="$2" ;;
                    --device) device="$2" ;;
                    --engine) engine="$2" ;;
                    --model) model="$2" ;;
                    --port) port="$2" ;;
                    --timeout) timeout_s="$2" ;;
                esac
                shift
                ;;
        esac
        shift
    done
}

check_options() {
    local engines="faster-whisper whisper"
    [ "$service" = asr ] || engines="piper coqui"
    [[ "${user:-x}" =~ ^[a-z_][a-z0-9_-]*$ ]] || refuse "--user: '$user' is not the name of a user"
    [ "$user" != root ] || refuse "--user: a service that strangers talk to does not run as root"
    [[ "${prefix:-/x}" =~ ^(/[A-Za-z0-9._-]+)+$ ]] ||
        refuse "--prefix: give an absolute path of letters, digits, dots, dashes and underscores"
    [[ ! "$prefix/" =~ ^/(home|root|run|tmp|var/tmp|proc|sys|dev)/|/\.\.?/ ]] ||
        refuse "--prefix: the service sees nothing below $prefix (home and temporary folders are hidden from it)"
    [[ "${device:-auto}" =~ ^(auto|cpu|cuda(:[0-9]+)?)$ ]] || refuse "--device: give auto, cpu, cuda or cuda:N"
    [ -z "$engine" ] || [[ " $engines " = *" $engine "* ]] || refuse "--engine: give one of: $engines"
    [[ "${port:-1}" =~ ^[0-9]{1,5}$ ]] && [ "${port:-1}" -ge 1 ] && [ "${port:-1}" -le 65535 ] ||
        refuse "--port: give 1 to 65535"
    [[ "$timeout_s" =~ ^[0-9]{1,6}$ ]] || refuse "--timeout: give seconds"
}

check_system() {
    [ "$(id -u)" = 0 ] || die "This changes the system: run it as root (sudo ./scripts/$action-$service.sh)."
    [ -d /run/systemd/system ] || die "systemd does not run here. In containers: docker-compose.yml."
    PYTHON="${PYTHON:-python3}"
    [ "$action" = uninstall ] ||
        "$PYTHON" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 ||
        die "Python 3.10 or newer with venv is missing: run scripts/install_system_deps.sh first."
}

has_gpu() { [ -e /dev/nvidiactl ] || [ -e /dev/nvidia0 ] || nvidia-smi -L >/dev/null 2>&1; }

# Sets requirements (the extras), more_packages (cuBLAS and cuDNN where they are needed) and on_gpu.
choose_packages() {
    local upper="${service^^}" wanted
    wanted="${device:-$(setting "${upper}_DEVICE" auto)}"
    engine="${engine:-$(setting "${upper}_ENGINE" auto)}"
    on_gpu="" more_packages=""
    case "$service/$engine" in
        asr/whisper) requirements="[asr,whisper,embedded-asr]" ;;
        asr/*) requirements="[asr,embedded-asr]" ;;
        tts/coqui) requirements="[xtts]" ;;
        tts/*) requirements="[tts,embedded-tts]" ;;
    esac
    if has_gpu; then
        say "An NVIDIA GPU was found."
    else
        say "No NVIDIA GPU was found (neither /dev/nvidia* nor nvidia-smi)."
        [[ "$wanted" != cuda* ]] ||
            die "$wanted was asked for: install NVIDIA's driver, check it with nvidia-smi, and run this again;" \
                "or give --device cpu."
    fi
    if [[ "$service/$engine" =~ ^tts/(auto|piper)$ ]]; then
        [[ "$wanted" != cuda* ]] || die "Piper is installed for the CPU; for a GPU give --engine coqui."
    elif has_gpu && [ "$wanted" != cpu ]; then
        on_gpu=1
        [[ "$service/$engine" = asr/whisper ]] || [ "$service" = tts ] ||
            more_packages="nvidia-cublas-cu12>=12,<13 nvidia-cudnn-cu12>=9,<10"
    fi
    if [ "$service/$engine" = tts/coqui ] && [[ "${model:-$(setting TTS_MODEL)}" != /* ]] &&
        ! [[ "$(setting COQUI_TOS_AGREED)" =~ ^(1|[Tt]rue|[Yy]es|[Oo]n)$ ]]; then
        die "The weights of XTTS-v2 may not be used commercially. Read https://coqui.ai/cpml, write COQUI_TOS_AGREED=1" \
            "into $settings_file, and run this again."
    fi
}

# The change itself: everything before it leaves what runs alone, and everything after it can be undone.
activate() { # RELEASE
    local old
    old="$(link_target current)"
    remember
    "$2"
    cp -p "$settings_file" "$base/before/settings.written"
    [ "$old" = "$1" ] || point current "$1"
    systemctl daemon-reload
    systemctl enable --quiet "$unit"
    if [ "$old" = "$1" ] && [ "$(state ActiveState)" = active ] && is_the_same; then
        forget
        say "$unit runs release $1 already, and nothing else was to be changed."
        return 0
    fi
    say "Restarting $unit with release $1; requests in progress finish first ..."
    if restart_and_wait; then
        [ -z "$old" ] || [ "$old" = "$1" ] || point previous "$old"
        forget
        prune
        say "$unit is healthy."
        return 0
    fi
    journalctl --no-pager --output=cat --lines=20 --unit="$unit" >&2 || true
    say "$unit did not become healthy with release $1: its last lines are above." >&2
    put_back
    if [ -z "$old" ]; then
        forget
        die "It was stopped again, and nothing of it runs. Mend the cause ($settings_file stays) and run this again."
    fi
    # What was there is there again: nothing is half done, whatever its health.
    forget
    restart_and_wait || die "$unit does not become healthy with release $old either: journalctl -u $unit says why."
    die "Release $old was put back, with the settings of before, and is healthy."
}

is_the_same() {
    local file
    for file in "$settings_file" "$unit_file" "$gpu_file"; do
        cmp -s "$file" "$base/before/${file##*/}" || { [ ! -e "$file" ] && [ ! -e "$base/before/${file##*/}" ]; } || return 1
    done
}

apply_options() {
    local upper="${service^^}"
    [ -z "$device" ] || set_setting "${upper}_DEVICE" "$device"
    [ -z "$given_engine" ] || set_setting "${upper}_ENGINE" "$given_engine"
    [ -z "$model" ] || set_setting "${upper}_MODEL" "$model"
    [ -z "$port" ] || set_setting "${upper}_PORT" "$port"
    render "$HERE/systemd/$unit.service" "$unit_file"
    if [ -n "$on_gpu" ]; then
        render "$HERE/systemd/gpu.conf" "$gpu_file"
    elif [ -e "$gpu_file" ]; then
        say "Removing $gpu_file."
        rm -f "$gpu_file"
    fi
}

# Root runs what is in there, so nobody else may change it. Folders that exist keep their modes.
make_folders() {
    local at="$prefix"
    while [ -n "$at" ]; do
        [ ! -e "$at" ] || is_roots_alone "$at" ||
            die "$at can be changed by others than root, who runs what is in there: choose another --prefix."
        at="${at%/*}"
    done
    for at in "$prefix" "$base" "$base/releases"; do
        [ -d "$at" ] || install -d -m 0755 "$at"
        is_roots_alone "$at" || die "$at can be changed by others than root: chown root: and chmod go-w it."
    done
}

is_roots_alone() { [ "$(stat -L -c %u "$1")" = 0 ] && [ -z "$(find -L "$1" -maxdepth 0 -perm /022)" ]; }

install_or_update() {
    local old_prefix old_user given_engine="$engine" release
    old_prefix="$(installed_prefix)"
    old_user="$(unit_value User)"
    if [ "$action" = update ] && [ -z "$old_prefix" ]; then
        die "$unit is not installed: run install-$service.sh first."
    fi
    prefix="${prefix:-${old_prefix:-/opt/voice-stack}}"
    user="${user:-${old_user:-voice-stack}}"
    if [ -n "$old_prefix" ] && [ "$prefix/$user" != "$old_prefix/$old_user" ]; then
        die "$unit is installed in $old_prefix for the user $old_user: run uninstall-$service.sh first, which keeps the data."
    fi
    base="$prefix/$service"
    if [ -d "$base" ] && [ ! -d "$base/releases" ] && [ -n "$(ls -A "$base")" ]; then
        die "$base holds something else: move it, or choose another --prefix."
    fi
    create_user
    create_settings
    make_folders
    repair
    if [ -n "$rollback" ]; then
        release="$(link_target previous)"
        [ -n "$release" ] || die "There is no release before this one."
        activate "$release" true
        return
    fi
    choose_packages
    release="$(release_name)"
    build_release "$release"
    activate "$release" apply_options
    say "Settings: $settings_file    Logs: journalctl -u $unit    State: systemctl status $unit"
}

confirm_purge() {
    [ -z "$yes" ] || return 0
    [ -t 0 ] || refuse "--purge deletes settings, voices and models: say --yes where nobody can be asked"
    local answer
    read -rp "Delete $settings_file, $state_folder and $cache_folder for good? [y/N] " answer
    [[ "$answer" =~ ^[Yy] ]] || die "Nothing was changed."
}

uninstall() {
    local other=tts
    [ "$service" = asr ] || other=asr
    prefix="$(installed_prefix)"
    prefix="${prefix:-${given_prefix:-/opt/voice-stack}}"
    user="$(unit_value User)"
    user="${user:-$(stat -c %U "$state_folder" 2>/dev/null || say voice-stack)}"
    base="$prefix/$service"
    [ -z "$purge" ] || confirm_purge
    if [ -f "$unit_file" ]; then
        say "Stopping $unit; requests in progress finish first ..."
        systemctl disable --now --quiet "$unit" || systemctl kill --signal=KILL "$unit" || true
    fi
    if [ -d "$base/releases" ]; then
        say "Removing $base."
        rm -rf "$base"
    fi
    [ ! -d "$prefix" ] || rmdir --ignore-fail-on-non-empty "$prefix"
    rm -f "$gpu_file"
    if [ -n "$purge" ]; then rm -rf "${gpu_file%/*}"; else rmdir "${gpu_file%/*}" 2>/dev/null || true; fi
    # Last: it is where a run that was cut off finds the prefix and the user.
    if [ -n "$purge" ]; then
        say "Removing $settings_file, $state_folder and $cache_folder."
        rm -rf "$settings_file" "$settings_file.new" "$state_folder" "$cache_folder"
        [ ! -d "$settings_folder" ] || rmdir --ignore-fail-on-non-empty "$settings_folder"
        [ -e "/var/lib/voice-stack-$other" ] || remove_user "/etc/systemd/system/voice-stack-$other.service"
    fi
    if [ -f "$unit_file" ]; then
        say "Removing $unit_file."
        rm -f "$unit_file"
    fi
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || true
    if [ -n "$purge" ]; then
        say "Nothing of $unit is left but what it wrote to the journal."
    else
        say "$unit is gone. These stay: $settings_file, $state_folder, $cache_folder, the user $user" \
            "(uninstall-$service.sh --purge removes them, too)."
    fi
}

remove_user() { # UNIT FILE of the other service
    local comment
    comment="$(getent passwd "$user" | cut -d: -f5)" || true
    if [ "$comment" = "$OUR_USER_COMMENT" ] && ! grep -qs "^User=$user\$" "$1"; then
        say "Removing the user $user."
        userdel "$user"
    fi
}

read_options "$@"
check_options
given_prefix="$prefix"
check_system
lock
if [ "$action" = uninstall ]; then uninstall; else install_or_update; fi
