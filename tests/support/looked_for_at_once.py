"""Once this is loaded, a worker looks for unfinished deletions as it starts, and not some seconds later.

Workers of a fleet wait so that they do not all ask at once. One of a test that waits as well looks in the
midst of another test, and finishes a deletion there that was just made to fail.
"""

from __future__ import annotations

from panzoto.lifecycle import unfinished_deletions

unfinished_deletions.FIRST_LOOK_SECONDS = (0.0, 0.0)
