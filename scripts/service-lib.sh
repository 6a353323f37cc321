# shellcheck shell=bash
# Sourced by service.sh: releases side by side, the settings, the unit, and the way back. Uses its variables
# service, unit, prefix, base, user, requirements, more_packages and timeout_s.
# shellcheck disable=SC2034,SC2154

unit_file="/etc/systemd/system/$unit.service"
gpu_file="/etc/systemd/system/$unit.service.d/gpu.conf"
settings_folder=/etc/voice-stack
settings_file="$settings_folder/$service.env"
state_folder="/var/lib/voice-stack-$service"
cache_folder="/var/cache/voice-stack-$service"
lock_file="/run/$unit.lock"
OUR_USER_COMMENT="Voice Stack services"

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The lock is the kernel's: it ends with the last process that has it, so that a killed run's pip is never at work
# beside the next run.
lock() {
    # Nobody else may write to the folder, or hold the file.
    umask 077
    exec 9>"$lock_file"
    umask 022
    flock -n 9 || { say "Another run for $unit is at work here: waiting for it." && flock 9; }
}

unit_value() { # NAME: from the unit file that is installed, empty where none is
    [ ! -f "$unit_file" ] || sed -n "s|^$1=||p" "$unit_file" | head -n 1
}

installed_prefix() { unit_value ExecStart | sed "s|/$service/current/bin/.*||"; }

link_target() { # current|previous: the name of a release, empty where there is none
    local target
    target="$(readlink "$base/$1" 2>/dev/null)" || return 0
    say "${target#releases/}"
}

# Symbolic links are replaced in one step: whoever starts the service meanwhile finds one or the other.
point() { # current|previous RELEASE
    ln -sfn "releases/$2" "$base/$1.new"
    mv -fT "$base/$1.new" "$base/$1"
}

# --- settings ---

setting() { # NAME [DEFAULT]: as systemd reads it from the settings file
    local value=""
    [ ! -f "$settings_file" ] || value="$(sed -n "s/^[[:space:]]*$1=//p" "$settings_file" | tail -n 1)"
    case "$value" in
        \"*\" | \'*\')
            value="${value#?}"
            value="${value%?}"
            ;;
    esac
    say "${value:-${2:-}}"
}

create_settings() {
    [ -d "$settings_folder" ] || install -d -m 0755 "$settings_folder"
    [ ! -f "$settings_file" ] || return 0
    say "Creating $settings_file: the settings, all commented out; updates leave it alone."
    # Those of the other service are left out, with the comments above them.
    local other=ASR_
    [ "$service" = tts ] || other='(TTS_|COQUI_)'
    (
        umask 077
        {
            say "# Settings of $unit. After a change: systemctl restart $unit"
            # What the unit sets by itself is shown as it does.
            awk -v other="^# ${other}[A-Z_]+=" -v models="$cache_folder/models" -v voices="$state_folder/voices" '
                /^# MODEL_DIR=/ { $0 = "# MODEL_DIR=" models }
                /^# TTS_VOICE_DIR=/ { $0 = "# TTS_VOICE_DIR=" voices }
                /^# [A-Z_]+=/ { if ($0 !~ other) printf "%s%s\n", above, $0; above = ""; next }
                /^# ---/ { heading = "\n" $0 "\n"; above = heading; next }
                /^#/ { above = above $0 "\n" }' "$ROOT/.env.example"
        } >"$settings_file.new"
    )
    chgrp "$(id -gn "$user")" "$settings_file.new"
    chmod 0640 "$settings_file.new"
    mv -f "$settings_file.new" "$settings_file"
}

set_setting() { # NAME VALUE: in place of the line that sets it, or of the comment that shows it, or at the end
    [ "$(setting "$1")" != "$2" ] || return 0
    say "Setting $1=$2 in $settings_file."
    local escaped="${2//\\/\\\\}"
    escaped="${escaped//\"/\\\"}"
    cp -p "$settings_file" "$settings_file.new"
    LINE="$1=\"$escaped\"" awk -v name="$1" '
        $0 ~ "^[[:space:]]*" name "=" { next }
        !done && $0 ~ "^# " name "=" { print; print ENVIRON["LINE"]; done = 1; next }
        { print }
        END { if (!done) print ENVIRON["LINE"] }' "$settings_file" >"$settings_file.new"
    mv -f "$settings_file.new" "$settings_file"
}

# --- what is installed ---

create_user() {
    if ! id -u "$user" >/dev/null 2>&1; then
        say "Creating the system user $user, without a home and a shell."
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
            --comment "$OUR_USER_COMMENT" "$user" || id -u "$user" >/dev/null
    fi
}

release_name() { # of what the clone holds and what is installed with it
    local commit content
    commit="$(git -c safe.directory="$ROOT" -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null)" ||
        commit="$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/pyproject.toml" | head -n 1)"
    content="$(
        cd "$ROOT" || exit
        {
            find src pyproject.toml README.md LICENSE -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
            say "$requirements" "$("$PYTHON" -V)"
        } | sha256sum
    )"
    say "$commit-${content:0:8}"
}

build_release() { # RELEASE: a virtual environment, whole once it holds the file .complete
    local folder="$base/releases/$1" log="$base/install.log"
    if [ -e "$folder/.complete" ]; then
        return 0
    fi
    say "Installing release $1 into $folder (one to ten minutes; details in $log) ..."
    rm -rf "$folder"
    install -d -m 0755 "$folder"
    : >"$log"
    local -a packages
    read -ra packages <<<"$more_packages"
    {
        "$PYTHON" -m venv "$folder" &&
            "$folder/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
                "$ROOT$requirements" ${packages[@]+"${packages[@]}"}
    } >"$log" 2>&1 || give_up_building "$folder" "pip failed" "$log"
    if [ -n "$more_packages" ]; then
        mkdir "$folder/cuda"
        ln -s "$folder"/lib/python3*/site-packages/nvidia/*/lib/*.so* "$folder/cuda/"
    fi
    # As the user that will run it, who must be able to read all of it.
    (cd / && runuser -u "$user" -- env -i PYTHONDONTWRITEBYTECODE=1 "$folder/bin/python" -c "import voice_stack.$service.app") \
        >"$log" 2>&1 || give_up_building "$folder" "the release cannot be imported as the user $user" "$log"
    : >"$folder/.complete"
}

give_up_building() { # FOLDER WHY LOG
    rm -rf "$1"
    tail -n 15 "$3" >&2
    die "Nothing that runs was changed: $2 (above; all of it is in $3)."
}

render() { # TEMPLATE TARGET: 0 where the target was changed
    local made
    made="$(sed -e "s|@PREFIX@|$prefix|g" -e "s|@SERVICE@|$service|g" -e "s|@USER@|$user|g" \
        -e "s|@GROUP@|$(id -gn "$user")|g" "$1")"
    [ "$made" != "$(cat "$2" 2>/dev/null)" ] || return 0
    say "Writing $2."
    install -d -m 0755 "${2%/*}"
    say "$made" >"$2.new"
    chmod 0644 "$2.new"
    mv -f "$2.new" "$2"
}

# --- the way back ---

# What an update is about to change, as it was. As long as the folder exists, what runs was not seen to be healthy.
remember() {
    local file
    rm -rf "$base/before.new"
    mkdir "$base/before.new"
    link_target current >"$base/before.new/release"
    for file in "$settings_file" "$unit_file" "$gpu_file"; do
        [ ! -f "$file" ] || cp -p "$file" "$base/before.new/${file##*/}"
    done
    mv -fT "$base/before.new" "$base/before"
}

forget() { rm -rf "$base/before"; }

put_back() {
    local file release
    release="$(cat "$base/before/release")"
    for file in "$settings_file" "$unit_file" "$gpu_file"; do
        if [ "$file" = "$settings_file" ] && [ -f "$base/before/settings.written" ] &&
            ! cmp -s "$file" "$base/before/settings.written"; then
            # Somebody has edited it since then.
            continue
        fi
        if [ -f "$base/before/${file##*/}" ]; then
            cp -p "$base/before/${file##*/}" "$file.new"
            mv -f "$file.new" "$file"
        elif [ "$file" != "$settings_file" ]; then
            # It was the first installation: only the settings are kept, to be mended.
            [ "$file" != "$unit_file" ] || systemctl disable --now --quiet "$unit" 2>/dev/null || true
            rm -f "$file"
        fi
    done
    if [ -n "$release" ]; then point current "$release"; else rm -f "$base/current"; fi
    rmdir "${gpu_file%/*}" 2>/dev/null || true
    systemctl daemon-reload
}

# After a run that was killed between the change and the proof.
repair() {
    rm -rf "$base/before.new"
    [ -d "$base/before" ] || return 0
    if is_active_since_change && is_healthy; then
        say "An earlier run was cut off; what it installed is healthy, and stays."
        forget
        return 0
    fi
    say "An earlier run was cut off before its release was seen to be healthy: putting back what was there before it."
    put_back
    local release
    release="$(cat "$base/before/release")"
    forget
    if [ -n "$release" ]; then
        restart_and_wait || die "$unit does not become healthy with the release before it, $release, either:" \
            "journalctl -u $unit says why."
    fi
}

# --- running ---

state() { systemctl show --value --property="$1" "$unit"; }

# Whether what runs was started after the change that "before" remembers was made.
is_active_since_change() {
    [ "$(state ActiveState)" = active ] && [ -f "$base/before/settings.written" ] || return 1
    local changed started
    changed="$(stat -c %Z "$base/before/settings.written")"
    started="$(date -d "$(TZ=UTC state ActiveEnterTimestamp)" +%s)" && [ "$started" -gt "$changed" ]
}

is_healthy() {
    local name upper="${service^^}"
    (
        for name in "${upper}_HOST" "${upper}_PORT" API_KEYS; do
            export "$name=$(setting "$name")"
        done
        "$PYTHON" "$HERE/container_health.py" "$service" >/dev/null
    )
}

# 0 once the service is healthy, 1 when it has ended by itself or time is up.
restart_and_wait() {
    local before end status told=""
    before="$(state InvocationID)"
    end=$((SECONDS + timeout_s))
    systemctl reset-failed "$unit" 2>/dev/null || true
    systemctl restart --no-block "$unit"
    while [ "$SECONDS" -lt "$end" ]; do
        sleep 0.5
        if [ "$(state InvocationID)" != "$before" ]; then
            case "$(state ActiveState)/$(state SubState)" in
                active/running) ! is_healthy || return 0 ;;
                failed/* | inactive/* | */auto-restart) return 1 ;;
            esac
        fi
        status="$(state StatusText)"
        if [ -n "$status" ] && [ "$status" != "$told" ]; then
            told="$status"
            say "  $status"
        fi
    done
    return 1
}

prune() {
    local release current previous
    current="$(link_target current)"
    previous="$(link_target previous)"
    for release in "$base"/releases/*; do
        case "${release##*/}" in
            "$current" | "$previous" | '*') ;;
            *)
                say "Removing release ${release##*/}."
                rm -rf "$release"
                ;;
        esac
    done
}
