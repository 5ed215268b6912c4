"""moto's server as it is, but for who serves it: `python -m tests.support.plain_moto PORT`."""

from __future__ import annotations

import sys

from tests.support.moto_loaded import APPLICATION
from tests.support.wsgi_server import listen, serve

if __name__ == "__main__":
    with listen(int(sys.argv[1])) as listener:
        serve(listener, APPLICATION)
