"""The library of the console in real browsers, under the console's own policy: all vectors."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.example_clients import ACCOUNT, CASES, REASONS, VECTORS
from tests.support.service import Service

WORDS: dict[str, Any] = json.loads((VECTORS / "transcripts.json").read_text("utf-8"))
OWN_WORDS = [case for case in WORDS["transcripts"] if case["user_id"] == ACCOUNT["user_id"]]
NO_DOCUMENTS = {"unknown-encoding", "not-json", "bad-deflate", "deflates-to-64-mib"}

# Given the folder of the console's modules: opens everything, and says of each what it is or why it failed.
OPENED = """async ({folder, account, recordings, transcripts, names}) => {
    const of = (name) => import(folder + name);
    const [bytes, header, keys, reading, single, words, texts, argon2, hpke] = await Promise.all([
        of("library/bytes.js"), of("library/header.js"), of("library/keys.js"), of("library/recordings.js"),
        of("library/single-shot.js"), of("library/transcripts.js"), of("library/names.js"),
        of("session/argon2.js"), of("node_modules/hpke/index.js"),
    ]);
    const sha256 = async (some) =>
        bytes.toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", some)));
    const vault = await keys.openVault(account, account.password, argon2.argon2id);
    const recording = async ({s3_key: s3Key, object}) => {
        const blob = new Blob([bytes.fromBase64(object)]);
        if (!header.isVersion2(bytes.fromBase64(object))) {
            return (await single.decryptSingle(account, account.password, bytes.fromBase64(object))).plain;
        }
        const reader = await reading.RecordingReader.open(vault, s3Key, reading.blobSource(blob));
        return (await reading.collect(reader.read())).arrayBuffer();
    };
    const transcript = ({user_id: userId, file_id: fileId, sealed}) =>
        words.openTranscript(hpke, vault, userId, fileId, bytes.fromBase64(sealed));
    const told = async (open) => open.then(sha256).catch((error) => error.reason ?? String(error));
    return {
        recordings: await Promise.all(recordings.map((one) => told(recording(one)))),
        transcripts: await Promise.all(transcripts.map((one) => told(transcript(one)))),
        names: await Promise.all(names.map(({what, file_id: fileId, value}) =>
            texts.openName(vault, what, fileId, value))),
        keyId: bytes.toHex(vault.keyId),
        readable: [vault.key, vault.wrappingKey, vault.namesKey, vault.transcripts.privateKey]
            .some(({extractable}) => extractable),
    };
}"""

# Writes in each manner there is, and reads it back; says for each size whether all was as it should be.
WRITTEN = """async ({folder, account, sizes}) => {
    const of = (name) => import(folder + name);
    const [bytes, keys, recordings, words, argon2, hpke] = await Promise.all([
        of("library/bytes.js"), of("library/keys.js"), of("library/recordings.js"),
        of("library/transcripts.js"), of("session/argon2.js"), of("node_modules/hpke/index.js"),
    ]);
    const vault = await keys.openVault(account, account.password, argon2.argon2id);
    // As IndexedDB and a worker give it back.
    const copy = await keys.vaultFromKey(structuredClone(vault).key);
    const whole = async (pieces) => new Uint8Array(await (await recordings.collect(pieces)).arrayBuffer());
    const right = {};
    for (const size of sizes) {
        const plain = new Uint8Array(size).map((_, index) => index * 7 + (index >> 8));
        const secrets = recordings.newSecrets();
        const source = recordings.blobSource(new Blob([plain]));
        const object = await whole(recordings.encryptRecording(vault, "users/ü", source, secrets));
        const parts = await recordings.encryptingSource(vault, "users/ü", source, secrets);
        const writer = await recordings.SegmentedWriter.open(vault, "users/ü", secrets);
        const stream = [writer.beginning, ...await writer.write(plain), await writer.close()];
        const opening = recordings.blobSource(new Blob([object]));
        const reader = await recordings.RecordingReader.open(copy, "users/ü", opening);
        right[size] = bytes.equal(await parts.read(0, parts.size), object)
            && bytes.equal(bytes.concat(...stream), object)
            && object.length === recordings.encryptedSize(size)
            && bytes.equal(await whole(reader.read()), plain);
    }
    const json = bytes.utf8('{"segments":[]}');
    const sealed = await words.sealTranscript(hpke, vault, account.user_id, "a", json);
    right.words = bytes.equal(await words.openTranscript(hpke, copy, account.user_id, "a", sealed), json);
    return right;
}"""


@pytest.fixture(params=["chromium", "firefox"])
def library(
    request: pytest.FixtureRequest, new_page: Callable[..., Page], console: Service
) -> tuple[Page, str]:
    """A page of the console, and the address of the folder in which its modules lie."""
    page = new_page(request.getfixturevalue(request.param))
    page.goto(console.url)
    (folder,) = set(re.findall(r"/console/[0-9a-f]+/", page.content()))
    return page, folder


def test_all_vectors_open_or_fail_as_they_should(library: tuple[Page, str]) -> None:
    page, folder = library
    objects = [
        {"s3_key": case["s3_key"], "object": base64.b64encode((VECTORS / case["file"]).read_bytes()).decode()}
        for case in CASES.values()
    ]
    asked = {"folder": folder, "account": ACCOUNT, "recordings": objects}
    told = page.evaluate(OPENED, {**asked, "transcripts": OWN_WORDS, "names": WORDS["names"]})
    recordings = dict(zip(CASES, told["recordings"], strict=True))
    assert recordings == {name: case.get("plain_sha256") or REASONS[name] for name, case in CASES.items()}
    transcripts = {case["name"]: told["transcripts"][number] for number, case in enumerate(OWN_WORDS)}
    assert transcripts == {
        case["name"]: case.get("document_sha256")
        or ("document" if case["name"] in NO_DOCUMENTS else "sealed")
        for case in OWN_WORDS
    }
    assert told["names"] == [case["text"] for case in WORDS["names"]]
    assert told["keyId"] == ACCOUNT["vault"]["key_id"]
    assert told["readable"] is False


def test_what_is_written_comes_back(library: tuple[Page, str]) -> None:
    page, folder = library
    sizes = [0, 1, 65479, 65480, 65481, 131000, 131001, 400_000]
    right = page.evaluate(WRITTEN, {"folder": folder, "account": ACCOUNT, "sizes": sizes})
    assert right == {**{str(size): True for size in sizes}, "words": True}
