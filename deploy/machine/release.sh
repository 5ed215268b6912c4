# shellcheck shell=bash
# What `install` and `upgrade` share: one release into its folder, a change to it, and back when it is not ready.

umask 022
SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
ROOT=
SYSTEMCTL=${SYSTEMCTL:-systemctl}
PYTHON=
PYTHON_ENVIRONMENT=
PATIENCE_SECONDS=90
READY_SECONDS=$PATIENCE_SECONDS
KEPT_RELEASES=3
UNTRIED=
SERVICE=panzoto.service
PARTS=(panzoto migrations_from_rds deploy wsgi.py requirements.txt requirements-node.txt .env.example)
# What works on a queue each, beside the service. Of each kind there may be more, as panzoto-events@2: they start, stop and
# are restarted with the first one, so nothing here need know which there are.
WORKERS=(panzoto-events panzoto-chores panzoto-mail panzoto-transcriptions)
# The sweep and its timer are of releases before 1.4.0, which have no worker for chores.
UNITS=("$SERVICE" "${WORKERS[@]/%/.service}" "${WORKERS[@]/%/@.service}" panzoto-sweep.service panzoto-sweep.timer
    panzoto-alarm@.service panzoto-watch.service panzoto-watch.timer)
TIMERS=(panzoto-sweep.timer panzoto-watch.timer)

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

wrong_usage() {
    printf '%s: %s\nTry %s --help.\n' "${0##*/}" "$*" "$0" >&2
    exit 2
}

# Where everything is; --root puts all of it below a folder, for an image or a test.
lay_out() {
    if [ -n "$ROOT" ]; then
        mkdir -p "$ROOT"
        ROOT=$(cd "$ROOT" && pwd -P)
    fi
    HOME_DIR=$ROOT/opt/panzoto
    RELEASES=$HOME_DIR/releases
    CURRENT=$HOME_DIR/current
    SETTINGS=$ROOT/etc/panzoto/panzoto.env
    STATE=$ROOT/var/lib/panzoto
    UNIT_DIR=$ROOT/etc/systemd/system
    COMMAND=$ROOT/usr/local/bin/panzoto
    KERNEL=$ROOT/etc/sysctl.d/90-panzoto.conf
    # There as long as the service runs by another unit than the one that is put there.
    MUST_RESTART=$HOME_DIR/.must-restart
}

require_root() {
    [ -n "$ROOT" ] || [ "$(id -u)" -eq 0 ] ||
        fail "this changes the system, so it needs root: sudo $0 (or --root DIR, to try it in a folder)"
    command -v "$SYSTEMCTL" >/dev/null ||
        fail "there is no systemctl here: this machine does not run systemd, and these scripts need it"
}

# The newest Python that will do, or the one that was named.
find_python() {
    local candidate
    if [ -n "$PYTHON_ENVIRONMENT" ]; then
        PYTHON_ENVIRONMENT=$(cd "$PYTHON_ENVIRONMENT" 2>/dev/null && pwd -P) || fail "--python-environment is no folder"
        PYTHON=$PYTHON_ENVIRONMENT/bin/python
        "$PYTHON" -c 'import gunicorn, flask' 2>/dev/null ||
            fail "$PYTHON_ENVIRONMENT holds no environment with the libraries of requirements.txt"
        return
    fi
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$(command -v "$candidate")
            "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
                fail "$PYTHON cannot make virtual environments: apt-get install python3-venv"
            return
        fi
    done
    fail "Panzoto needs Python 3.11 or newer: apt-get install python3 python3-venv, or dnf install python3.11," \
        "or name yours with --python /path/to/python3"
}

version_in() { sed -n 's/^VERSION = "\([0-9A-Za-z.+-]\{1,64\}\)"$/\1/p' "$1/panzoto/version.py" 2>/dev/null; }

# The release that is served now, or nothing.
current_version() { [ -L "$CURRENT" ] && basename "$(readlink "$CURRENT")"; }

# A setting as the service would read it; the last line wins, as it does there.
setting() { sed -n "s/^ *\(export  *\)\?$1 *= *[\"']\?\([^\"']*\)[\"']\?\$/\2/p" "$SETTINGS" | tail -n 1; }

refuse_keys() {
    if grep -Eq '^ *(export +)?AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN) *=' "$SETTINGS"; then
        fail "$SETTINGS holds AWS keys. Take them out: this machine's instance role gives the service its own," \
            "which change by themselves and cannot be carried away"
    fi
}

# Lets one installation or upgrade be at work at a time. Whoever is killed lets go; what it started holds on.
take_turn() {
    mkdir -p "$HOME_DIR"
    exec 9>"$HOME_DIR/.turn"
    flock --nonblock 9 || fail "another installation or upgrade is at work on this machine; wait for its end"
}

# systemctl without the lock, which what it starts would keep.
manage() { "$SYSTEMCTL" "$@" 9>&-; }

# Everything that is undone however this script ends: a service that was held, a release that was not finished, a
# process that was tried.
BUILDING=
BUILT=
CANDIDATE=
SCRATCH=
HELD=
clean_up() {
    local status=$?
    [ -z "$HELD" ] || manage start "$SERVICE" || true
    if [ -n "$CANDIDATE" ]; then
        kill "$CANDIDATE" 2>/dev/null || true
        wait "$CANDIDATE" 2>/dev/null || true
        CANDIDATE=
    fi
    if [ -n "$BUILDING" ]; then
        rm -rf "$BUILDING"
        printf '%s: release %s could not be built and was removed again; nothing else has changed\n' \
            "${0##*/}" "$(basename "$BUILDING")" >&2
        [ "$status" -ne 0 ] || status=1
        BUILDING=
    fi
    [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What a release is made of, each file with a digest of its content, in an order of its own. What npm has fetched is not
# compared: the lock file is, which names it by its hashes.
content_of() {
    (cd "$1" && find "${PARTS[@]}" \( -name __pycache__ -o -name node_modules \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

# Removes what a build left that was killed: a folder without its mark.
remove_unfinished() {
    local folder
    for folder in "$RELEASES"/*/; do
        [ -d "$folder" ] || continue
        [ -e "$folder.complete" ] || { rm -rf "$folder" && say "Removed what was left of an unfinished build: $folder"; }
    done
}

# Fills the release's folder from this checkout, or removes all of it again.
build_release() {
    local version=$1 folder=$RELEASES/$1 differing
    remove_unfinished
    if [ -e "$folder/.complete" ]; then
        differing=$(diff <(content_of "$folder") <(content_of "$SOURCE") |
            sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u || true)
        [ -z "$differing" ] || fail "release $version is installed, with another content than this checkout:" \
            "$(say "$differing" | head -n 3 | paste -s -d ' ') and perhaps more. Raise VERSION in panzoto/version.py"
        say "Release $version is there already."
        fetch_console "$folder"
        return
    fi
    say "Building release $version ..."
    mkdir -p "$RELEASES"
    BUILDING=$folder
    mkdir "$folder"
    tar -C "$SOURCE" --exclude=__pycache__ -cf - "${PARTS[@]}" | tar -C "$folder" --no-same-owner -xf -
    if [ -n "$PYTHON_ENVIRONMENT" ]; then
        ln -s "$PYTHON_ENVIRONMENT" "$folder/venv"
    else
        "$PYTHON" -m venv "$folder/venv"
        "$folder/venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes \
            -r "$folder/requirements.txt"
    fi
    fetch_console "$folder"
    # The service may not write here, so what Python keeps of its work is made now.
    "$folder/venv/bin/python" -m compileall -q "$folder/panzoto" "$folder/deploy" "$folder/wsgi.py"
    touch "$folder/.complete"
    BUILDING=
    BUILT=$folder
}

# Fetches what the console needs of npm, unless the checkout had it or the settings do without. A release that cannot
# have it is served without a console, and takes it up when this is run again.
fetch_console() {
    local folder=$1 status=0
    case $(setting CONSOLE) in 0 | false | no) return ;; esac
    (cd "$folder" && "$folder/venv/bin/python" -m deploy.packages.console --environment "$folder/.node" 9>&-) || status=$?
    # npm has done its part; the service needs no Node.
    rm -rf "$folder/.node"
    [ "$status" -eq 0 ] || say "This release has no console; run $0 again once npm's registry is reached."
}

# How releases before 1.1.0 were laid out: all of their deployment in one folder, and no command that prepares AWS.
is_of_old_layout() { [ -e "$RELEASES/$1/deploy/supervise.py" ]; }

units_of() {
    local folder=deploy/machine/systemd
    ! is_of_old_layout "$1" || folder=deploy/systemd
    say "$RELEASES/$1/$folder"
}

supervisor_of() { if is_of_old_layout "$1"; then say deploy.supervise; else say deploy.serving.supervisor; fi; }

# Puts a release where the system looks for it: its units, the command, the kernel's settings, and `current`.
put_release() {
    local folder unit
    folder=$(units_of "$1")
    mkdir -p "$UNIT_DIR" "$(dirname "$COMMAND")" "$ROOT/etc/sysctl.d"
    # Everything is written before anything is replaced: a full disk changes nothing.
    rm -f "$UNIT_DIR"/panzoto*.new
    for unit in "${UNITS[@]}"; do
        [ ! -e "$folder/$unit" ] || write_beside "$folder/$unit" "$UNIT_DIR/$unit" 644
    done
    write_beside "$folder/panzoto-command" "$COMMAND" 755
    write_beside "$folder/90-panzoto.conf" "$KERNEL" 644
    if ! cmp -s "$UNIT_DIR/$SERVICE.new" "$UNIT_DIR/$SERVICE"; then
        # What systemd itself was told about the service holds from a new start only, whoever starts it then.
        touch "$MUST_RESTART"
        hold_service
    fi
    for unit in "${UNITS[@]}"; do
        if [ -e "$UNIT_DIR/$unit.new" ]; then mv -f "$UNIT_DIR/$unit.new" "$UNIT_DIR/$unit"; else drop_unit "$unit"; fi
    done
    mv -f "$COMMAND.new" "$COMMAND"
    mv -f "$KERNEL.new" "$KERNEL"
    point_current_at "$1"
    [ -n "$ROOT" ] || sysctl --quiet --load="$KERNEL" ||
        say "net.core.wmem_max could not be set now; it will be at the next start of the machine."
    manage daemon-reload
}

# Ends the service while its unit and `current` belong to different releases. What was stopped systemd does not start by
# itself, and what had only crashed it would, by a unit that names what `current` does not hold.
hold_service() {
    [ -e "$UNIT_DIR/$SERVICE" ] || return 0
    HELD=yes
    manage stop "$SERVICE"
}

# A unit that the release does not have would go on starting what is not there.
drop_unit() {
    [ -e "$UNIT_DIR/$1" ] || return 0
    case $1 in
        panzoto-alarm@*) ;;
        # What an operator has enabled, workers for letters among it, stays so for the release that has the unit again.
        *@.service) manage stop "${1/%@.service/@*.service}" || say "$1 could not be ended." ;;
        *.timer | panzoto-chores.service | panzoto-transcriptions.service)
            manage disable --now "$1" || say "$1 could not be ended."
            ;;
        *) manage stop "$1" || say "$1 could not be ended." ;;
    esac
    rm -f "$UNIT_DIR/$1"
}

# Writes a file of a release beside the one that it will replace.
write_beside() {
    sed "s#/opt/panzoto#$ROOT/opt/panzoto#g; s#/etc/panzoto#$ROOT/etc/panzoto#g; s#/var/lib/panzoto#$ROOT/var/lib/panzoto#g" \
        "$1" >"$2.new"
    chmod "$3" "$2.new"
}

# One rename, so that there is a release at every moment.
point_current_at() {
    ln -sfn "releases/$1" "$CURRENT.new"
    mv -fT "$CURRENT.new" "$CURRENT"
}

# Whether the release's own idea of the settings works, asked before anything that runs is touched.
check_settings() {
    local folder=$RELEASES/$1
    (cd "$STATE" && PYTHONPATH=$folder "$folder/venv/bin/python" -c '
import sys
from importlib import import_module
from pathlib import Path
from panzoto.config import Settings
from panzoto.errors import SettingsError
environment_of = import_module(sys.argv[1]).environment_of
try:
    Settings.from_environment(environment_of(Path(sys.argv[2])))
except SettingsError as error:
    sys.exit(f"panzoto: {error}")
' "$(supervisor_of "$1")" "$SETTINGS") || fail "these settings do not do for release $1: correct $SETTINGS and run $0 again"
}

# Runs a release's own Python with its own code and the machine's settings, as the service's user.
with_release() {
    local folder=$RELEASES/$1 user=()
    shift
    [ -n "$ROOT" ] || user=(setpriv --reuid panzoto --regid panzoto --init-groups)
    cd "$STATE" || exit
    exec env PYTHONPATH="$folder" PYTHONDONTWRITEBYTECODE=1 FLASK_SKIP_DOTENV=1 \
        "${user[@]}" "$folder/venv/bin/python" "$@" 9>&-
}

# Runs one of a release's own commands with the machine's settings, whichever release is served.
command_of() {
    local folder=$RELEASES/$1
    (with_release "$1" -m dotenv --file "$SETTINGS" run --no-override -- \
        "$folder/venv/bin/python" -m flask --app wsgi panzoto "${@:2}")
}

# Makes the tables and the queue that the release needs and that are not there, or names the right that is missing.
prepare_resources() {
    ! is_of_old_layout "$1" || return 0
    say "Looking for what release $1 needs in AWS ..."
    command_of "$1" resources prepare ||
        fail "release $1 does not find what it needs; nothing has changed"
}

# Starts the release beside what serves, at a port that nobody else knows, and uses it as a phone does.
try_release() {
    local version=$1 port
    port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    SCRATCH=$(mktemp -d)
    say "Trying release $version before it is served ..."
    # No letters, and one worker: it shares the machine with what serves.
    PORT=$port METRICS_PORT=0 WEB_CONCURRENCY=1 MAIL=off with_release "$version" -m "$(supervisor_of "$version")" \
        --release "$RELEASES/$version" --environment-file "$SETTINGS" >"$SCRATCH/log" 2>&1 &
    CANDIDATE=$!
    if ! use_release "$version" "http://127.0.0.1:$port"; then
        tail -n 5 "$SCRATCH/log" >&2
        # What was built for nothing would stand in the way of the same version, mended.
        [ -z "$BUILT" ] || rm -rf "$BUILT"
        fail "release $version does not work, and was never served; nothing has changed." \
            "On a new machine the tables may be missing: panzoto resources create"
    fi
    await_removal
    kill "$CANDIDATE" 2>/dev/null || true
    wait "$CANDIDATE" 2>/dev/null || true
    CANDIDATE=
}

# Registers, uploads, records, lists and plays, and removes that account again.
use_release() {
    PYTHONDONTWRITEBYTECODE=1 PYTHON=$RELEASES/$1/venv/bin/python "$SOURCE/deploy/smoke" --directly --wait "$READY_SECONDS" "$2" 9>&-
}

# The account is removed behind the answer; what is not done in this time, the worker for chores finishes.
await_removal() {
    local deadline=$((SECONDS + 20))
    until grep -q '"account_deleted"' "$SCRATCH/log" || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.2; done
}

# Lets the release that `current` leads to take over, and waits until it says that it can work.
serve() {
    local version=$1 how=reload-or-restart deadline port
    port=$(setting PORT)
    [ ! -e "$MUST_RESTART" ] || how=restart
    manage "$how" "$SERVICE" || return 1
    rm -f "$MUST_RESTART"
    HELD=
    deadline=$((SECONDS + READY_SECONDS))
    until is_ready "$version" "http://127.0.0.1:${port:-5000}"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 1
    done
    [ -n "$UNTRIED" ] || use_release "$version" "http://127.0.0.1:${port:-5000}" || return 1
    # A worker first finishes what it has taken from its queue; nobody has to wait for that.
    local worker
    for worker in "${WORKERS[@]}"; do
        ! is_wanted "$worker" || manage --no-block restart "$worker.service"
    done
}

# Whether this release has such a worker, and there is something for it to do. The service sends letters by itself, so who
# wants workers for them enables these by hand.
is_wanted() {
    [ -e "$UNIT_DIR/$1.service" ] || return 1
    case $1 in
        panzoto-transcriptions) [ -n "$(setting TRANSCRIPTION_URL)" ] ;;
        panzoto-mail) [ -L "$UNIT_DIR/multi-user.target.wants/$1.service" ] ;;
    esac
}

# Until the release before has let go of the socket, either may answer; so one answer alone says little.
is_ready() {
    "$PYTHON" - "$1" "$2" <<'PYTHON' 2>/dev/null
import json
import sys
import urllib.request

version, url = sys.argv[1:]
for _ in range(10):
    with urllib.request.urlopen(url + "/api/health", timeout=5) as answer:
        if json.load(answer)["version"] != version:
            sys.exit(1)
with urllib.request.urlopen(url + "/api/health/ready", timeout=30):
    pass
PYTHON
}

# Changes to a release; when it is not ready in time, back to the one before.
change_to() {
    local version=$1 former
    former=$(current_version || true)
    check_settings "$version"
    if [ -z "$UNTRIED" ]; then
        prepare_resources "$version"
        try_release "$version"
    fi
    put_release "$version"
    enable_units
    if serve "$version"; then
        start_timers
        say "Release $version is served and ready."
        [ "$former" = "$version" ] || forget_old_releases "$version" "$former"
        return
    fi
    if [ -z "$former" ] || [ "$former" = "$version" ]; then
        fail "release $version does not work as it is served. What it says: journalctl -u panzoto -n 50." \
            "On a new machine the tables may be missing: panzoto resources create"
    fi
    say "Release $version does not work as it is served; going back to $former." >&2
    UNTRIED=yes
    put_release "$former"
    enable_units
    # Whoever waits for little has not chosen to give up what worked before as quickly.
    READY_SECONDS=$((READY_SECONDS > PATIENCE_SECONDS ? READY_SECONDS : PATIENCE_SECONDS))
    serve "$former" || fail "release $former is not ready either: see journalctl -u panzoto -n 50"
    # The release that failed may have ended those of this one.
    start_timers
    fail "release $version was not ready, and $former serves again. What was wrong: journalctl -u panzoto -n 100"
}

# Those of the release that start with the machine.
enable_units() {
    local starting=("$SERVICE") unit
    for unit in "${WORKERS[@]}"; do
        if is_wanted "$unit"; then
            starting+=("$unit.service")
        elif [ "$unit" = panzoto-transcriptions ] && [ -e "$UNIT_DIR/$unit.service" ]; then
            manage disable --now "$unit.service"
        fi
    done
    for unit in "${TIMERS[@]}"; do
        [ ! -e "$UNIT_DIR/$unit" ] || starting+=("$unit")
    done
    manage enable "${starting[@]}"
}

start_timers() {
    local timer
    for timer in "${TIMERS[@]}"; do
        [ ! -e "$UNIT_DIR/$timer" ] || manage start "$timer"
    done
}

# Keeps the newest few, and always what is served and what was served before it.
forget_old_releases() {
    local folder kept=0
    while IFS= read -r folder; do
        case ${folder##*/} in "$1" | "$2") continue ;; esac
        kept=$((kept + 1))
        [ "$kept" -le $((KEPT_RELEASES - 2)) ] || rm -rf "$folder"
    done < <(find "$RELEASES" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-)
}
