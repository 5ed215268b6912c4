# shellcheck shell=bash
# What `install` and `upgrade` share: one release into its folder, a change to it, and back when it is not ready.

umask 022
SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
ROOT=
SYSTEMCTL=${SYSTEMCTL:-systemctl}
PYTHON=
PYTHON_ENVIRONMENT=
PATIENCE_SECONDS=90
READY_SECONDS=$PATIENCE_SECONDS
KEPT_RELEASES=3
TAKE_OVER=reload-or-restart
UNITS=(panzoto.service panzoto-events.service panzoto-sweep.service panzoto-sweep.timer)

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

# Fills the release's folder from this checkout; a folder without its mark was interrupted and is made anew.
build_release() {
    local version=$1 folder=$RELEASES/$1
    if [ -e "$folder/.complete" ]; then
        say "Release $version is there already."
        return
    fi
    say "Building release $version ..."
    rm -rf "$folder"
    mkdir -p "$folder"
    tar -C "$SOURCE" --exclude=__pycache__ -cf - \
        panzoto migrations_from_rds deploy wsgi.py requirements.txt .env.example | tar -C "$folder" --no-same-owner -xf -
    if [ -n "$PYTHON_ENVIRONMENT" ]; then
        ln -s "$PYTHON_ENVIRONMENT" "$folder/venv"
    else
        "$PYTHON" -m venv "$folder/venv"
        "$folder/venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes \
            -r "$folder/requirements.txt"
    fi
    # The service may not write here, so what Python keeps of its work is made now.
    "$folder/venv/bin/python" -m compileall -q "$folder/panzoto" "$folder/deploy" "$folder/wsgi.py" || true
    touch "$folder/.complete"
}

# Puts the units, the command and the kernel's settings of a release where the system looks for them.
put_units() {
    local folder=$RELEASES/$1 unit former
    mkdir -p "$UNIT_DIR" "$(dirname "$COMMAND")" "$ROOT/etc/sysctl.d"
    former=$(cat "$UNIT_DIR/${UNITS[0]}" 2>/dev/null || true)
    for unit in "${UNITS[@]}"; do
        place "$folder/deploy/systemd/$unit" "$UNIT_DIR/$unit" 644
    done
    # What systemd itself was told about the service holds from a new start only.
    [ "$former" = "$(cat "$UNIT_DIR/${UNITS[0]}")" ] || TAKE_OVER=restart
    place "$folder/deploy/systemd/panzoto-command" "$COMMAND" 755
    place "$folder/deploy/systemd/90-panzoto.conf" "$ROOT/etc/sysctl.d/90-panzoto.conf" 644
    [ -n "$ROOT" ] || sysctl --quiet --load=/etc/sysctl.d/90-panzoto.conf ||
        say "net.core.wmem_max could not be set now; it will be at the next start of the machine."
    "$SYSTEMCTL" daemon-reload
}

place() {
    sed "s#/opt/panzoto#$ROOT/opt/panzoto#g; s#/etc/panzoto#$ROOT/etc/panzoto#g; s#/var/lib/panzoto#$ROOT/var/lib/panzoto#g" \
        "$1" >"$2.new"
    chmod "$3" "$2.new"
    mv -f "$2.new" "$2"
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
from pathlib import Path
from deploy.supervise import environment_of
from panzoto.config import Settings
from panzoto.errors import SettingsError
try:
    Settings.from_environment(environment_of(Path(sys.argv[1])))
except SettingsError as error:
    sys.exit(f"panzoto: {error}")
' "$SETTINGS") || fail "these settings do not do for release $1: correct $SETTINGS and run $0 again"
}

# Lets the release that `current` leads to take over, and waits until it says that it can work.
serve() {
    local version=$1 deadline port
    port=$(setting PORT)
    "$SYSTEMCTL" "$TAKE_OVER" panzoto.service || return 1
    deadline=$((SECONDS + READY_SECONDS))
    until is_ready "$version" "http://127.0.0.1:${port:-5000}"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 1
    done
    # The worker first finishes what it has taken from the queue; nobody has to wait for that.
    "$SYSTEMCTL" --no-block restart panzoto-events.service
}

is_ready() {
    "$PYTHON" - "$1" "$2" <<'PYTHON' 2>/dev/null
import json
import sys
import urllib.request

version, url = sys.argv[1:]
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
    put_units "$version"
    point_current_at "$version"
    "$SYSTEMCTL" enable "${UNITS[0]}" "${UNITS[1]}" "${UNITS[3]}"
    if serve "$version"; then
        "$SYSTEMCTL" start panzoto-sweep.timer
        say "Release $version is served and ready."
        [ "$former" = "$version" ] || forget_old_releases "$version" "$former"
        return
    fi
    if [ -z "$former" ] || [ "$former" = "$version" ]; then
        fail "release $version is not ready after $READY_SECONDS s. What it says: journalctl -u panzoto -n 50." \
            "On a new machine the tables may be missing: panzoto resources create"
    fi
    say "Release $version is not ready after $READY_SECONDS s; going back to $former." >&2
    put_units "$former"
    point_current_at "$former"
    # Whoever waits for little has not chosen to give up what worked before as quickly.
    READY_SECONDS=$((READY_SECONDS > PATIENCE_SECONDS ? READY_SECONDS : PATIENCE_SECONDS))
    serve "$former" || fail "release $former is not ready either: see journalctl -u panzoto -n 50"
    fail "release $version was not ready, and $former serves again. What was wrong: journalctl -u panzoto -n 100"
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
