"""The WSGI application, for gunicorn and for the `flask` command."""

from __future__ import annotations

import sys

from panzoto import create_app
from panzoto.config import find_running_stand_in
from panzoto.errors import SettingsError
from panzoto.host.sandbox import hide_memory

# gunicorn's own status for an application that cannot be loaded: it stops, instead of trying for ever.
APP_LOAD_ERROR = 4

# The settings are in this process's environment, and whoever runs as the same user could read it there.
hide_memory()
try:
    find_running_stand_in()
    app = create_app()
except SettingsError as error:
    print(f"panzoto: {error}", file=sys.stderr)
    sys.exit(APP_LOAD_ERROR)
