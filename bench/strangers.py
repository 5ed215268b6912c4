"""Record a thousand keys of every odd shape as a stranger, and try to read, export and erase the objects."""

from __future__ import annotations

import argparse
import io
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.support.aws import start_moto
from tests.support.odd_keys import odd_keys
from tests.support.service import BUCKET, PASSWORD, Service, run_service

SECRET = b"what somebody said in private" + bytes(200)
UNLIMITED = {
    "LIMIT_DECRYPT": "1000000 per minute",
    "LIMIT_REGISTER": "1000 per minute",
    "LIMIT_SESSION": "1000000 per minute",
}
AT_ONCE = 2
ATTEMPTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1000)
    count = parser.parse_args().keys
    with start_moto() as aws, run_service(aws, **UNLIMITED) as service:
        print(f"{count} keys recorded by a stranger:", dict(attack(service, count)))


def attack(service: Service, count: int) -> Counter[str]:
    """Return how many answers of each kind there were, how many bytes came out and how many objects went."""
    stranger = service.register("stranger@example.com")
    keys = odd_keys(stranger["user_id"], count)
    for s3_key in keys:
        service.put_object(s3_key, SECRET)

    def try_one(s3_key: str) -> list[str]:
        token = stranger["token"]
        file_id = record(service, token, s3_key)
        download = service.call("GET", f"/api/audio-file/{file_id}/download", token)
        body = {"file_id": file_id, "password": PASSWORD}
        opened = service.call("POST", "/api/decrypt-audio", token, json=body)
        upgraded = service.call(
            "POST", f"/api/audio-file/{file_id}/upgrade", token, json={"password": PASSWORD}
        )
        return [
            f"download {download.json().get('code', 'GIVEN OUT')}",
            f"decrypt {opened.json().get('code', 'OPENED')}",
            f"upgrade {upgraded.json().get('code', 'MOVED')}",
        ]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = Counter(outcome for found in pool.map(try_one, keys) for outcome in found)
    archive = zipfile.ZipFile(io.BytesIO(service.call("GET", "/api/user/export", stranger["token"]).content))
    outcomes["objects exported"] = sum(name.startswith("objects/") for name in archive.namelist())
    listed = service.call("GET", "/api/user/audio-files?limit=1000", stranger["token"]).json()["audio_files"]
    for row in listed:
        service.call("DELETE", f"/api/audio-file/{row['file_id']}?permanent=true", stranger["token"])
    there = sum(service.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() == SECRET for key in keys)
    outcomes["objects that are still there"] = there
    return outcomes


def record(service: Service, token: str, s3_key: str) -> str:
    """Record a key as a phone does, which repeats itself while the service is busy; return the file_id."""
    for _ in range(ATTEMPTS):
        answer = service.call("POST", "/api/audio-file", token, json={"s3_key": s3_key})
        if answer.status_code != 503:
            break
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


if __name__ == "__main__":
    main()
