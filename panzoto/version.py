"""The version of the service, as /api/health tells it."""

VERSION = "1.4.4"
