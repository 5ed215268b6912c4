"""README.md and the shell blocks in it."""

from __future__ import annotations

import re

from tests.support.service import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# The first block gets the project and starts it; the others are typed beside it.
GETTING, *WALK = BLOCKS
