"""Once this is loaded, the service's code takes hashes that cost hardly anything, beside those of OWASP.

Hashing was a quarter of all that the plain suite computed, and what it costs is the subject of few tests.
They are known by a number of passes that nobody else uses; every other number needs the memory that it did.
"""

from __future__ import annotations

from panzoto import config

TIME_COST = config.ARGON2_MAX_TIME_COST
# RFC 9106, 3.1: eight blocks of 1 KiB for each lane.
MEMORY_KIB = 8

config.OWASP_MINIMUM_MEMORY_KIB[TIME_COST] = MEMORY_KIB
