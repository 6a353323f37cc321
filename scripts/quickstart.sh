#!/usr/bin/env bash
# Installs everything, starts both services with the models that come as packages, lets one hear what the other says,
# and keeps serving until Ctrl-C.
set -euo pipefail

HERE="${BASH_SOURCE[0]%/*}"
[ "$HERE" != "${BASH_SOURCE[0]}" ] || HERE=.
# shellcheck source=scripts/bootstrap.sh
. "$HERE/bootstrap.sh"

USAGE="Usage: quickstart.sh [--check] [--asr-port N] [--tts-port N]"
READY_LIMIT_S=300
STOP_LIMIT_S=40 # a little over the services' own SHUTDOWN_GRACE_S
asr_port="${ASR_PORT:-5001}"
tts_port="${TTS_PORT:-5002}"
check=""
asr_pid=""
tts_pid=""
serving=""

read_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --check) check=1 ;;
            --asr-port | --tts-port)
                [ $# -ge 2 ] || die "$1 needs a port number. $USAGE"
                if [ "$1" = --asr-port ]; then asr_port="$2"; else tts_port="$2"; fi
                shift
                ;;
            -h | --help)
                say "$USAGE"
                exit 0
                ;;
            *) die "Unknown argument '$1'. $USAGE" ;;
        esac
        shift
    done
}

check_ports() {
    "$BOOTSTRAP_PYTHON" - --asr-port "$asr_port" --tts-port "$tts_port" <<'PYTHON' || exit 1
import socket
import sys

seen = set()
for option, value in zip(sys.argv[1::2], sys.argv[2::2]):
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        sys.exit(f"'{value}' is not a port number: choose 1 to 65535 with {option} N.")
    port = int(value)
    if port in seen:
        sys.exit(f"Both services cannot use port {port}: choose another with {option} N.")
    seen.add(port)
    try:
        # Binding alone would not do on macOS: there 127.0.0.1 may be bound beside another program's 0.0.0.0.
        with socket.socket() as client:
            client.settimeout(2)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                sys.exit(f"Port {port} is taken by another program: stop it, or choose another port with {option} N.")
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"Port {port} cannot be used ({error.strerror}): choose another with {option} N.")
PYTHON
}

# Ends the services should this shell be killed with SIGKILL, which no trap sees: the pipe's only writer is gone then.
start_watchdog() {
    exec 8> >(
        trap '' HUP INT TERM
        pids=""
        while read -r pid; do pids="$pids $pid"; done
        for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
    )
}

# start_service asr|tts PORT: sets started_pid. The settings below are the packaged models; those of the environment
# and of .env that are not named here hold as well.
start_service() {
    set -m
    HF_HUB_OFFLINE=1 ASR_ENGINE=faster-whisper ASR_MODEL=base TTS_ENGINE=piper \
        .venv/bin/voice-stack "$1" --host 127.0.0.1 --port "$2" </dev/null >"$(log_of "$1")" 2>&1 8>&- &
    started_pid=$!
    set +m
    say "$started_pid" >&8
}

log_of() {
    case "$1" in
        asr) say ".hatch/logs/asr-$asr_port.log" ;;
        tts) say ".hatch/logs/tts-$tts_port.log" ;;
    esac
}

alive() { kill -0 "$1" 2>/dev/null; }

# A sleep that a signal to this shell ends at once.
pause() {
    sleep "$1" &
    wait $! || true
}

service_died() {
    printf '%s\n' "--- the last lines of $(log_of "$1"):" >&2
    tail -n 15 "$(log_of "$1")" >&2
    die "The $1 service ended by itself: its log above says why ($ROOT/$(log_of "$1"))."
}

wait_until_ready() { # asr|tts PID PORT
    local waited=0
    until "$VENV_PYTHON" scripts/round_trip.py --health "http://127.0.0.1:$3"; do
        alive "$2" || service_died "$1"
        [ "$waited" -lt "$READY_LIMIT_S" ] ||
            die "The $1 service was not ready within $READY_LIMIT_S s: see $ROOT/$(log_of "$1")."
        waited=$((waited + 1))
        pause 1
    done
}

# shellcheck disable=SC2329 # a trap calls it
stop_services() {
    local pid waited=0
    trap '' HUP INT TERM
    stop_job
    for pid in $asr_pid $tts_pid; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in $asr_pid $tts_pid; do
        while alive "$pid" && [ "$waited" -lt $((STOP_LIMIT_S * 5)) ]; do
            sleep 0.2
            waited=$((waited + 1))
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# shellcheck disable=SC2329 # a trap calls it
interrupted() {
    [ -z "$serving" ] || { say "Stopping." && exit 0; }
    exit "$1"
}

print_what_next() {
    cat <<TEXT

Both services are up; Ctrl-C ends them. Try next, in another terminal:

  curl http://127.0.0.1:$tts_port/v1/audio/speech -H 'Content-Type: application/json' \\
    -d '{"model": "tts-1", "voice": "alloy", "input": "Good evening."}' -o evening.mp3
  curl http://127.0.0.1:$asr_port/v1/audio/transcriptions -F model=whisper-1 -F file=@evening.mp3

In a browser: http://127.0.0.1:$asr_port/ (files, recordings, live captions) and http://127.0.0.1:$tts_port/ (speech)

(with API_KEYS set, add: -H "Authorization: Bearer YOUR_KEY")
OpenAI SDK:  OpenAI(base_url="http://127.0.0.1:$asr_port/v1", api_key="any")   transcriptions
             OpenAI(base_url="http://127.0.0.1:$tts_port/v1", api_key="any")   speech
Logs:        $(log_of asr) and $(log_of tts) in $ROOT
TEXT
}

read_arguments "$@"
trap stop_services EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM

find_python
say "Python: $BOOTSTRAP_PYTHON ($("$BOOTSTRAP_PYTHON" -c 'import sys; print(sys.version.split()[0])'))"
check_ports
prepare_environment

say "Starting speech to text on port $asr_port and text to speech on port $tts_port (models load in a few seconds) ..."
start_watchdog
start_service asr "$asr_port"
asr_pid="$started_pid"
start_service tts "$tts_port"
tts_pid="$started_pid"
wait_until_ready asr "$asr_pid" "$asr_port"
wait_until_ready tts "$tts_pid" "$tts_port"

say "Speaking a sentence and listening to it ..."
run_job "$VENV_PYTHON" scripts/round_trip.py --asr "http://127.0.0.1:$asr_port" --tts "http://127.0.0.1:$tts_port" \
    --out ".hatch/logs/spoken-$tts_port.mp3" 8>&- || exit 1
[ -z "$check" ] || exit 0

serving=1
print_what_next
while alive "$asr_pid" && alive "$tts_pid"; do pause 1; done
alive "$asr_pid" || service_died asr
service_died tts
