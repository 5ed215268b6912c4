"""The service as a client sees it that repeats what is answered 503."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import requests

from tests.support.service import Service

REPEATS = 10


class PatientService(Service):
    """Repeats a call that is answered 503, as clients do; the stand-in may be too slow at times."""

    repeats = 0

    @classmethod
    def over(cls, service: Service) -> PatientService:
        return cls(**{one.name: getattr(service, one.name) for one in fields(service)})

    def call(self, method: str, path: str, token: str | None = None, **how: Any) -> requests.Response:
        answer = super().call(method, path, token, **how)
        for _ in range(REPEATS):
            if answer.status_code != 503:
                break
            self.repeats += 1
            answer = super().call(method, path, token, **how)
        return answer
