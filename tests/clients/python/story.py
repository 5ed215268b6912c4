"""A phone's day with the generated Python client, unmodified: `story.py URL EMAIL PASSWORD PLAIN`.

Written here is only what no description of calls can hold: how the earlier phones encrypt, and a PUT.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from panzoto_client import AuthenticatedClient, Client
from panzoto_client.api.account import list_events
from panzoto_client.api.playback import decrypt_audio, play_recording
from panzoto_client.api.recordings import list_audio_files
from panzoto_client.api.signing_in import log_in, register_account
from panzoto_client.api.uploads import announce_upload, complete_upload
from panzoto_client.models.account import Account
from panzoto_client.models.audio_files_answer import AudioFilesAnswer
from panzoto_client.models.complete_upload import CompleteUpload
from panzoto_client.models.credentials import Credentials
from panzoto_client.models.decrypt_answer import DecryptAnswer
from panzoto_client.models.decrypt_audio import DecryptAudio
from panzoto_client.models.error import Error
from panzoto_client.models.events_answer import EventsAnswer
from panzoto_client.models.new_upload import NewUpload
from panzoto_client.models.registration import Registration
from panzoto_client.models.stored_answer import StoredAnswer
from panzoto_client.models.upload import Upload
from panzoto_client.models.upload_answer import UploadAnswer
from panzoto_client.types import File

Answer = TypeVar("Answer")


def expect(answer: object, kind: type[Answer]) -> Answer:
    """Return `answer`, which must be of this kind."""
    assert isinstance(answer, kind), answer
    return answer


def main(url: str, email: str, password: str, plain: bytes) -> None:
    """Register, log in, upload, list and play."""
    anybody = Client(base_url=url)
    expect(register_account.sync(client=anybody, body=Registration(email=email, password=password)), Account)
    again = register_account.sync(client=anybody, body=Registration(email=email, password=password))
    assert expect(again, Error).code == "user_exists"
    account = expect(log_in.sync(client=anybody, body=Credentials(email=email, password=password)), Account)
    client = AuthenticatedClient(base_url=url, token=account.token)

    key = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(account.key_salt), 100_000)
    iv = os.urandom(12)
    encrypted = iv + AESGCM(key).encrypt(iv, plain, None)

    body = NewUpload(file_size=len(encrypted), content_type="audio/3gpp", client_id="the-first")
    announced = expect(announce_upload.sync(client=client, body=body), UploadAnswer)
    target = expect(announced.upload, Upload)
    put = httpx.put(expect(target.url, str), content=encrypted, headers=target.headers.to_dict())
    assert put.status_code == 200, put.text
    done = complete_upload.sync(announced.file_id, client=client, body=CompleteUpload())
    assert expect(done, StoredAnswer).audio_file.status == "stored"

    listed = expect(list_audio_files.sync(client=client, limit=10), AudioFilesAnswer).audio_files
    assert [one.file_id for one in listed] == [announced.file_id]
    wanted = DecryptAudio(password=password, file_id=listed[0].file_id)
    opened = expect(decrypt_audio.sync(client=client, body=wanted), DecryptAnswer)
    ticket = opened.download_url.rpartition("/")[2]
    assert expect(play_recording.sync(ticket, client=anybody), File).payload.read() == plain
    part = play_recording.sync(ticket, client=anybody, range_="bytes=0-3")
    assert expect(part, File).payload.read() == plain[:4]
    events = expect(list_events.sync(client=client), EventsAnswer).events
    assert {event.type_ for event in events} >= {"registered", "signed_in", "recording_decrypted"}


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]).read_bytes())
