"""Uploading in the console: files arrive as they are, over whatever network, once each."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import SETTINGS
from tests.support.aws import free_port
from tests.support.browser import Axe
from tests.support.console import enter, sign_in
from tests.support.console_uploads import (
    choose,
    duration_decoded,
    heard,
    listed,
    recording,
    stored,
    until_recorded,
    uploading,
)
from tests.support.fault_proxy import CutSent, Fault, FaultProxy, Hang, LoseReply, Refuse
from tests.support.service import PASSWORD, Service, run_service
from tests.support.waiting import eventually

MIB = 1024 * 1024
# Objects of the bucket, not the tables, which are asked by POST.
OBJECTS = {"method": "PUT", "path": "/panzoto-audio-dev/"}
NO_DISK = """
    StorageManager.prototype.getDirectory = async () => {
        throw new DOMException("private", "SecurityError");
    };
"""
QUESTIONED = """() => {
    const event = new Event("beforeunload", { cancelable: true });
    dispatchEvent(event);
    return event.defaultPrevented;
}"""
# What is kept in the private file system and in the database.
KEPT = """async () => {
    const names = [];
    const disk = await navigator.storage.getDirectory();
    const root = await disk.getDirectoryHandle("uploads", { create: true });
    for await (const account of root.values()) for await (const name of account.keys()) names.push(name);
    return names;
}"""
ROWS = """() => new Promise((resolve) => {
    const request = indexedDB.open("panzoto");
    request.onsuccess = () => {
        const rows = request.result.transaction("uploads").objectStore("uploads").getAll();
        rows.onsuccess = () => {
            request.result.close();
            resolve(rows.result.map(({ fileId, state }) => ({ fileId, state })));
        };
    };
})"""
# Tells which files there are of the one upload; `put`, where it is given, takes the bytes of `of` and the
# place of all that were there.
FILES = """async ({ put, of }) => {
    const disk = await navigator.storage.getDirectory();
    const root = await disk.getDirectoryHandle("uploads", { create: true });
    const names = [];
    for await (const account of root.values()) for await (const folder of account.values()) {
        if (put !== undefined) {
            const bytes = await (await (await folder.getFileHandle(of)).getFile()).arrayBuffer();
            for (const name of await Array.fromAsync(folder.keys())) await folder.removeEntry(name);
            const writable = await (await folder.getFileHandle(put, { create: true })).createWritable();
            await writable.write(bytes);
            await writable.close();
        }
        for await (const name of folder.keys()) names.push(name);
    }
    return names.sort();
}"""
# Makes of the one row what releases before 1.4.3 wrote, which knew one name of an object only.
FORGET_NAME = """() => new Promise((resolve) => {
    const request = indexedDB.open("panzoto");
    request.onsuccess = () => {
        const transaction = request.result.transaction("uploads", "readwrite");
        const cursor = transaction.objectStore("uploads").openCursor();
        cursor.onsuccess = () => {
            if (cursor.result === null) return;
            const { objectOf, ...row } = cursor.result.value;
            cursor.result.update(row);
            cursor.result.continue();
        };
        transaction.oncomplete = () => { request.result.close(); resolve(); };
    };
})"""
# A database that has no room for rows of any upload but `globalThis.only`, once that is set.
ONLY_ROWS_OF = """
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (value, key) {
        if (this.name === "uploads" && globalThis.only && value.fileId !== only) {
            throw new DOMException("full", "QuotaExceededError");
        }
        return put.call(this, value, key);
    };
"""
# How safe on the disk each row of an upload was when it was taken for saved.
NOTE_DURABILITY = """
    globalThis.durabilities = [];
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...row) {
        if (this.name === "uploads") durabilities.push(this.transaction.durability);
        return put.apply(this, row);
    };
"""
# A private file system that cannot be read while `broken` is set.
BROKEN_DISK = """
    const { getFileHandle } = FileSystemDirectoryHandle.prototype;
    FileSystemDirectoryHandle.prototype.getFileHandle = async function (...asked) {
        if (globalThis.broken) throw new DOMException("I/O", "UnknownError");
        return getFileHandle.apply(this, asked);
    };
"""
# Goes on with an upload in the very moment in which whoever carries it saves its row; resolves to the key
# that is kept then.
RESUME_WHILE_SAVING = """async () => {
    const { src } = document.querySelector("script[type=module]");
    const { resume, uploads } = await import(src.replace("main.js", "uploading/queue.js"));
    const { rowOf, saveRow } = await import(src.replace("main.js", "uploading/rows.js"));
    const [{ row }] = uploads.get().list;
    const resuming = resume(row.id);
    // So far that it has asked for the row, and not so far that it has been answered.
    for (let steps = 0; steps < 20; steps++) await null;
    await saveRow({ ...row, s3Key: "the next one" });
    await resuming;
    return (await rowOf(row)).s3Key;
}"""
CLEAR = """async () => {
    const disk = await navigator.storage.getDirectory();
    await disk.removeEntry("uploads", { recursive: true });
}"""
# Agrees to the engine, as the page does where a transcript is asked for the first time.
AGREE = """async () => {
    const { src } = document.querySelector("script[type=module]");
    const { consentKnown, giveConsent } = await import(src.replace("main.js", "words/consent.js"));
    await consentKnown();
    await giveConsent();
}"""


@pytest.fixture
def weather(moto: str) -> Iterator[FaultProxy]:
    """What lies between the service, the browser and AWS."""
    with FaultProxy(moto) as proxy:
        yield proxy


@pytest.fixture
def far_away(weather: FaultProxy, moto: str) -> Iterator[Service]:
    """A service whose bucket is behind `weather`, and to which more than a MiB goes in parts."""
    with run_service(weather.url, create_at=moto, **SETTINGS, SINGLE_UPLOAD_MAX=str(MIB)) as running:
        yield running


@pytest.fixture
def someone(far_away: Service) -> dict[str, Any]:
    return far_away.register(f"someone-{uuid.uuid4().hex[:8]}@example.com")


def sound_file(folder: Path, name: str, size: int) -> Path:
    """Write a WAV file of noise, in which no two seconds are the same."""
    noise = Random(name).randbytes(size // 64)
    file = folder / name
    with file.open("wb") as out:
        out.write(wav_head(size))
        for number in range(64):
            out.write(number.to_bytes(2, "little") + noise[2:])
    return file


def wav_head(size: int) -> bytes:
    """Return the head of a mono WAV file at 16 kHz with so many bytes of sound."""
    rate = 16_000
    layout = (16).to_bytes(4, "little") + b"\1\0\1\0" + rate.to_bytes(4, "little")
    layout += (2 * rate).to_bytes(4, "little") + b"\2\0\20\0"
    length = size.to_bytes(4, "little")
    return b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + layout + b"data" + length


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bar(page: Page) -> Locator:
    return page.get_by_role("list", name="Uploads").get_by_role("progressbar")


def until_sent(page: Page, share: float) -> None:
    """Wait until the one upload is so far."""
    progress = bar(page)
    expect(progress).to_be_visible()
    eventually(
        lambda: (
            progress.evaluate("(bar) => bar.value / bar.max") >= share
            and "encrypted" not in uploading(page).inner_text()
        ),
        lambda: uploading(page).inner_text(),
    )


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_files_arrive_as_they_are(
    *,
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    console: Service,
    person: dict[str, Any],
    tmp_path: Path,
) -> None:
    page = new_page(request.getfixturevalue(name))
    sign_in(page, console, person)
    walk = sound_file(tmp_path, "Walk by the river.wav", MIB)
    phone = tmp_path / "audio-17.3gp"
    phone.write_bytes(b"\0\0\0\x14ftyp3gp4" + bytes(500))
    # What was recorded at the same time would stand in the list as one conversation.
    os.utime(phone, (1_700_000_000, 1_700_000_000))
    choose(page, walk, phone)
    expect(listed(page)).to_have_count(2)
    expect(listed(page).filter(has_text="Walk by the river")).to_have_count(1)
    expect(listed(page).filter(has_text="audio-17")).to_have_count(1)
    expect(uploading(page)).to_have_count(0)
    rows = {row["content_type"]: row for row in stored(console, person)}
    assert {digest(heard(console, person, row)) for row in rows.values()} == {
        digest(file.read_bytes()) for file in (walk, phone)
    }
    (sound,) = [row for kind, row in rows.items() if "wav" in kind]
    (other,) = [row for kind, row in rows.items() if "wav" not in kind]
    assert sound["duration_ms"] == pytest.approx(MIB / 32, abs=2)
    assert other["duration_ms"] is None
    assert other["content_type"].endswith("/3gpp")
    changed = datetime.fromtimestamp(walk.stat().st_mtime, UTC)
    assert abs(datetime.fromisoformat(sound["recorded_at"]) - changed).total_seconds() < 1


HELD = """() => {
    const held = new DataTransfer();
    held.items.add(new File([new Uint8Array(4000)], "Dropped.m4a"));
    return held;
}"""


def test_files_can_be_dropped_anywhere(page: Page, console: Service, person: dict[str, Any]) -> None:
    sign_in(page, console, person)
    expect(page.get_by_role("button", name="Upload")).to_be_visible()
    transfer = page.evaluate_handle(HELD)
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop your recordings here")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop your recordings here")).to_have_count(0)
    expect(listed(page).filter(has_text="Dropped")).to_have_count(1)
    (row,) = stored(console, person)
    assert row["content_type"] == "audio/mp4"


def test_files_can_be_dropped_as_soon_as_the_button_is_seen(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(
        """new MutationObserver((_, watch) => {
            if (document.querySelector("input[type=file]") === null) return;
            watch.disconnect();
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(4000)], "Dropped.m4a"));
            dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
        }).observe(document, { childList: true, subtree: true });"""
    )
    sign_in(page, console, person)
    expect(listed(page).filter(has_text="Dropped")).to_have_count(1)


def test_a_file_dropped_where_nobody_takes_it_does_not_take_the_page(page: Page, console: Service) -> None:
    page.goto(console.url)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    stays = page.evaluate(
        f"""() => ["dragover", "drop"].map((name) => {{
            const dataTransfer = ({HELD})();
            return !dispatchEvent(new DragEvent(name, {{ dataTransfer, cancelable: true }}));
        }})"""
    )
    assert stays == [True, True]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("Empty.wav", b"", "“Empty.wav” is empty."),
        ("Photo.png", b"png", "“Photo.png” is not a sound recording."),
    ],
)
def test_what_is_no_sound_is_told(
    *,
    name: str,
    content: bytes,
    told: str,
    page: Page,
    console: Service,
    person: dict[str, Any],
    tmp_path: Path,
) -> None:
    sign_in(page, console, person)
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    expect(page.get_by_role("alert").filter(has_text=told)).to_be_visible()
    expect(uploading(page)).to_have_count(0)


def test_each_of_several_files_that_are_no_sound_is_told(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    sign_in(page, console, person)
    files = [tmp_path / "Photo.png", tmp_path / "Empty.wav"]
    files[0].write_bytes(b"png")
    files[1].write_bytes(b"")
    choose(page, *files)
    told = page.get_by_role("alert").filter(has_text="Empty.wav")
    expect(told).to_contain_text("Photo.png")
    page.get_by_role("link", name="Trash").click()
    expect(told).to_have_count(0)


def test_what_was_told_of_a_file_is_over_when_another_is_chosen(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    sign_in(page, console, person)
    (tmp_path / "Photo.png").write_bytes(b"png")
    choose(page, tmp_path / "Photo.png")
    told = page.get_by_role("alert").filter(has_text="Photo.png")
    expect(told).to_be_visible()
    (tmp_path / "Talk.wav").write_bytes(b"some sound")
    choose(page, tmp_path / "Talk.wav")
    expect(told).to_have_count(0)
    expect(uploading(page)).to_have_count(0)


def test_80_mib_arrive_over_a_bad_network_with_a_reload_in_the_middle(
    *,
    new_page: Callable[..., Page],
    chromium: Browser,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    tmp_path: Path,
) -> None:
    page = new_page(chromium)
    file = sound_file(tmp_path, "A long evening.wav", 80 * MIB)
    sign_in(page, far_away, someone)
    faults = [
        weather.add(Fault(CutSent(3 * MIB), times=1, **OBJECTS)),
        weather.add(Fault(LoseReply(), skip=1, times=1, **OBJECTS)),
        weather.add(Fault(Hang(), skip=2, times=1, **OBJECTS)),
    ]
    choose(page, file)
    until_sent(page, 0.45)
    page.reload()
    weather.clear()
    later = weather.add(Fault(Refuse(), times=2, **OBJECTS))
    sign_in(page, far_away, someone)
    until_sent(page, 0.7)
    weather.add(Fault(CutSent(MIB), times=1, **OBJECTS))
    expect(listed(page)).to_have_count(1, timeout=120_000)
    assert [fault.applied for fault in [*faults, later]] == [1, 1, 1, 2]
    (row,) = stored(far_away, someone)
    data = heard(far_away, someone, row)
    assert digest(data) == digest(file.read_bytes())
    assert row["duration_ms"] == pytest.approx(80 * MIB / 32, abs=2)


def test_after_a_lost_answer_what_is_there_is_taken_as_sent(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    lost = weather.add(Fault(LoseReply(), times=1, **OBJECTS))
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Short.wav", MIB // 2)
    choose(page, file)
    expect(listed(page)).to_have_count(1)
    assert lost.applied == 1
    puts = [record.status for record in weather.requests if record.method == "PUT" and "audio" in record.path]
    assert puts[-1] == 412
    (row,) = stored(far_away, someone)
    assert heard(far_away, someone, row) == file.read_bytes()


def test_what_is_paused_waits_over_a_reload_and_goes_on(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    hanging = weather.add(Fault(Hang(), times=1, **OBJECTS))
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Walk.wav", 3 * MIB)
    choose(page, file)
    eventually(lambda: hanging.applied == 1, lambda: uploading(page).inner_text())
    assert page.evaluate(QUESTIONED)
    uploading(page).get_by_role("button", name="Pause").click()
    expect(uploading(page)).to_contain_text("Paused")
    assert not page.evaluate(QUESTIONED)
    page.reload()
    sign_in(page, far_away, someone)
    expect(uploading(page)).to_contain_text("Paused")
    assert stored(far_away, someone) == []
    uploading(page).get_by_role("button", name="Resume").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(far_away, someone)
    assert heard(far_away, someone, row) == file.read_bytes()


def test_what_is_canceled_is_gone_here_and_at_the_service(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    hanging = weather.add(Fault(Hang(), **OBJECTS))
    sign_in(page, far_away, someone)
    choose(page, sound_file(tmp_path, "Canceled.wav", 3 * MIB))
    eventually(lambda: hanging.applied == 1, lambda: uploading(page).inner_text())
    uploading(page).get_by_role("button", name="Cancel").click()
    expect(uploading(page)).to_have_count(0)
    eventually(lambda: not page.evaluate(KEPT) and page.evaluate(ROWS) == [], "something is left")
    weather.clear()
    sign_in(page, far_away, someone)
    assert stored(far_away, someone) == []
    assert far_away.call("GET", "/api/user", someone["token"]).json()["usage"]["bytes"] == 0


def test_two_tabs_send_a_thing_once_and_the_second_takes_over(
    *,
    new_page: Callable[..., Page],
    chromium: Browser,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    tmp_path: Path,
) -> None:
    first = new_page(chromium)
    sign_in(first, far_away, someone)
    second = first.context.new_page()
    sign_in(second, far_away, someone)
    hanging = weather.add(Fault(Hang(), times=1, **OBJECTS))
    file = sound_file(tmp_path, "Twice.wav", 20 * MIB)
    choose(first, file)
    eventually(lambda: hanging.applied == 1, "nothing is sent")
    expect(bar(second)).to_be_visible()
    expect(uploading(second)).to_contain_text("of 21 MB")
    first.close()
    expect(listed(second)).to_have_count(1)
    (row,) = stored(far_away, someone)
    assert digest(heard(far_away, someone, row)) == digest(file.read_bytes())
    sent = [record for record in weather.requests if record.method == "PUT" and "audio" in record.path]
    # The one that hung, and two parts.
    assert [record.status for record in sent] == [None, 200, 200]


def test_uploads_go_on_behind_the_lock(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    sign_in(page, far_away, someone)
    refusing = weather.add(Fault(Refuse(), **OBJECTS))
    file = sound_file(tmp_path, "Behind.wav", MIB // 2)
    choose(page, file)
    eventually(lambda: refusing.applied > 0, lambda: uploading(page).inner_text())
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    weather.clear()
    eventually(lambda: len(stored(far_away, someone)) == 1, "it waits for the vault")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    expect(listed(page).filter(has_text="Behind")).to_have_count(1)


def test_without_a_disk_the_same_file_is_asked_for_after_a_reload(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    page.add_init_script(NO_DISK)
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Kept nowhere.wav", 20 * MIB)
    hanging = weather.add(Fault(Hang(), skip=1, times=1, **OBJECTS))
    choose(page, file)
    eventually(lambda: hanging.applied == 1, lambda: uploading(page).inner_text())
    page.reload()
    sign_in(page, far_away, someone)
    expect(uploading(page)).to_contain_text("has no copy of the file")
    expect(uploading(page)).to_contain_text("Kept nowhere")
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    other.write_bytes(changed)
    uploading(page).get_by_label("Choose the file again").last.set_input_files(str(other))
    expect(uploading(page)).to_contain_text("This is another file")
    uploading(page).get_by_label("Choose the file again").last.set_input_files(str(file))
    expect(listed(page)).to_have_count(1)
    (row,) = stored(far_away, someone)
    assert digest(heard(far_away, someone, row)) == digest(file.read_bytes())
    sent = [record for record in weather.requests if record.method == "PUT" and "audio" in record.path]
    # The first part, the one that hung, and the second part: the first is not sent again.
    assert [record.status for record in sent] == [200, None, 200]


def paused_after_encrypting(page: Page, weather: FaultProxy, file: Path) -> None:
    """Choose a file, and stop its upload once it is encrypted and before anything of it has arrived."""
    hanging = weather.add(Fault(Hang(), times=1, **OBJECTS))
    choose(page, file)
    eventually(lambda: hanging.applied == 1, lambda: uploading(page).inner_text())
    uploading(page).get_by_role("button", name="Pause").click()
    expect(uploading(page)).to_contain_text("Paused")


def given_up(page: Page, service: Service, person: dict[str, Any]) -> str:
    """Have the service give up the one upload, as its chores do after a while; returns which it was."""
    (row,) = page.evaluate(ROWS)
    file_id: str = row["fileId"]
    assert service.call("DELETE", f"/api/uploads/{file_id}", person["token"]).status_code == 204
    return file_id


def test_what_the_service_gave_up_meanwhile_is_encrypted_anew(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "After a week.wav", 3 * MIB)
    paused_after_encrypting(page, weather, file)
    former = given_up(page, far_away, someone)
    # Behind a reload, so that only what is on the disk can be sent.
    page.reload()
    sign_in(page, far_away, someone)
    uploading(page).get_by_role("button", name="Resume").click()
    expect(listed(page)).to_have_count(1)
    (arrived,) = stored(far_away, someone)
    assert arrived["file_id"] != former
    assert digest(heard(far_away, someone, arrived)) == digest(file.read_bytes())


def refused_after_encrypting_anew(page: Page, service: Service, person: dict[str, Any]) -> tuple[str, str]:
    """Give the paused upload up and go on, up to the row that says so, which is not saved.

    Returns both uploads. The page has `ONLY_ROWS_OF`, and complains of what was refused.
    """
    former = given_up(page, service, person)
    page.evaluate("(former) => { globalThis.only = former; }", former)
    uploading(page).get_by_role("button", name="Resume").click()
    expect(uploading(page).locator(".fault")).to_be_visible()
    page.evaluate("() => { globalThis.only = undefined; }")
    left = page.evaluate(FILES, {})
    (latter,) = {name.removeprefix("object-") for name in left} - {former}
    return former, latter


def test_what_was_spoken_outlives_a_row_that_is_not_saved(
    *,
    page: Page,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    complaints: Callable[[Page], list[str]],
) -> None:
    """The object for the next upload must not take the place of the only copy before the row names it."""
    page.add_init_script(ONLY_ROWS_OF)
    sign_in(page, far_away, someone)
    hanging = weather.add(Fault(Hang(), **OBJECTS))
    dialog = recording(page)
    until_recorded(dialog, 2)
    dialog.get_by_role("button", name="Stop and save").click()
    eventually(lambda: hanging.applied == 1, lambda: uploading(page).inner_text())
    uploading(page).get_by_role("button", name="Pause").click()
    expect(uploading(page)).to_contain_text("Paused")
    former, latter = refused_after_encrypting_anew(page, far_away, someone)
    assert page.evaluate(FILES, {}) == sorted([f"object-{former}", f"object-{latter}"])
    uploading(page).get_by_role("button", name="Resume").click()
    eventually(lambda: hanging.applied == 2, lambda: uploading(page).inner_text())
    assert page.evaluate(FILES, {}) == [f"object-{latter}"]
    weather.clear()
    uploading(page).get_by_role("button", name="Pause").click()
    uploading(page).get_by_role("button", name="Resume").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(far_away, someone)
    assert duration_decoded(heard(far_away, someone, row)) > 1
    eventually(lambda: not page.evaluate(KEPT), "something is left")
    assert set(complaints(page)) == {"QuotaExceededError"}
    complaints(page).clear()


@pytest.mark.parametrize("meanwhile", ["nothing", "given up", "half replaced"])
def test_what_an_earlier_release_has_encrypted_arrives(
    *,
    meanwhile: str,
    page: Page,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    complaints: Callable[[Page], list[str]],
    tmp_path: Path,
) -> None:
    page.add_init_script(ONLY_ROWS_OF)
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Before the update.wav", 3 * MIB)
    paused_after_encrypting(page, weather, file)
    (row,) = page.evaluate(ROWS)
    on_disk = row["fileId"]
    if meanwhile == "given up":
        given_up(page, far_away, someone)
    if meanwhile == "half replaced":
        _, on_disk = refused_after_encrypting_anew(page, far_away, someone)
    left = page.evaluate(FILES, {"put": "object", "of": f"object-{on_disk}"})
    assert left == ["object"]
    page.evaluate(FORGET_NAME)
    page.reload()
    sign_in(page, far_away, someone)
    if meanwhile != "half replaced":
        uploading(page).get_by_role("button", name="Resume").click()
    expect(listed(page)).to_have_count(1)
    (arrived,) = stored(far_away, someone)
    assert digest(heard(far_away, someone, arrived)) == digest(file.read_bytes())
    eventually(lambda: not page.evaluate(KEPT), "something is left")
    assert set(complaints(page)) <= {"QuotaExceededError"}
    complaints(page).clear()


def test_rows_are_on_the_disk_before_what_they_replace_goes(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    """Chromium takes a row for saved as soon as the system has it, and a power cut takes it back."""
    page.add_init_script(NOTE_DURABILITY)
    sign_in(page, console, person)
    choose(page, sound_file(tmp_path, "Power cut.wav", MIB))
    expect(listed(page)).to_have_count(1)
    assert set(page.evaluate("() => durabilities")) == {"strict"}


def test_going_on_does_not_take_back_what_is_being_saved(
    page: Page, weather: FaultProxy, far_away: Service, someone: dict[str, Any], tmp_path: Path
) -> None:
    sign_in(page, far_away, someone)
    paused_after_encrypting(page, weather, sound_file(tmp_path, "At once.wav", MIB // 2))
    assert page.evaluate(RESUME_WHILE_SAVING) == "the next one"


@pytest.mark.parametrize("is_given_up", [False, True])
def test_what_the_browser_has_cleared_is_asked_for(
    *,
    is_given_up: bool,
    page: Page,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    tmp_path: Path,
) -> None:
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Cleared.wav", 3 * MIB)
    paused_after_encrypting(page, weather, file)
    if is_given_up:
        given_up(page, far_away, someone)
    page.evaluate(CLEAR)
    page.reload()
    sign_in(page, far_away, someone)
    uploading(page).get_by_role("button", name="Resume").click()
    expect(uploading(page)).to_contain_text("has no copy of the file")
    uploading(page).get_by_label("Choose the file again").last.set_input_files(str(file))
    expect(listed(page)).to_have_count(1)
    (arrived,) = stored(far_away, someone)
    assert digest(heard(far_away, someone, arrived)) == digest(file.read_bytes())


def test_a_disk_that_fails_for_a_moment_has_not_cleared_anything(
    *,
    page: Page,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    complaints: Callable[[Page], list[str]],
    tmp_path: Path,
) -> None:
    """Who has no file any more would be asked for it, and what is on the disk be given up."""
    page.add_init_script(BROKEN_DISK)
    sign_in(page, far_away, someone)
    file = sound_file(tmp_path, "Still there.wav", 3 * MIB)
    paused_after_encrypting(page, weather, file)
    page.evaluate("() => { globalThis.broken = true; }")
    uploading(page).get_by_role("button", name="Resume").click()
    expect(uploading(page).locator(".fault")).to_be_visible()
    page.evaluate("() => { globalThis.broken = false; }")
    # Behind a reload, so that only what is on the disk can be sent.
    page.reload()
    sign_in(page, far_away, someone)
    expect(listed(page)).to_have_count(1)
    (arrived,) = stored(far_away, someone)
    assert digest(heard(far_away, someone, arrived)) == digest(file.read_bytes())
    assert set(complaints(page)) == {"DiskError"}
    complaints(page).clear()


@pytest.fixture(scope="module")
def with_an_engine(moto: str) -> Iterator[Service]:
    """A service that takes wishes for transcripts, which nothing makes."""
    with run_service(moto, **SETTINGS, TRANSCRIPTION_URL=f"http://127.0.0.1:{free_port()}") as running:
        yield running


@pytest.mark.parametrize("behind_the_lock", [False, True])
def test_a_transcript_is_asked_for_where_that_was_agreed_to(
    behind_the_lock: bool, page: Page, with_an_engine: Service, tmp_path: Path
) -> None:
    someone = with_an_engine.register(f"spoken-{uuid.uuid4().hex[:8]}@example.com")
    file = sound_file(tmp_path, "Said.wav", MIB)
    sign_in(page, with_an_engine, someone)
    choose(page, file)
    expect(listed(page)).to_have_count(1)
    assert [row["transcript"] for row in stored(with_an_engine, someone)] == [None]
    page.evaluate(AGREE)
    if behind_the_lock:
        page.route("**/complete", lambda route: route.abort())
        with page.expect_request("**/complete"):
            choose(page, file)
        page.get_by_role("button", name="Lock").click()
        expect(page.get_by_role("button", name="Unlock")).to_be_visible()
        page.unroute("**/complete")
        eventually(lambda: len(stored(with_an_engine, someone)) == 2, "it does not arrive behind the lock")
        page.get_by_role("textbox", name="Password").fill(PASSWORD)
        page.get_by_role("button", name="Unlock").click()
    else:
        choose(page, file)
    eventually(
        lambda: (
            [row["transcript"] and row["transcript"]["status"] for row in stored(with_an_engine, someone)]
            == ["queued", None]
        ),
        lambda: stored(with_an_engine, someone),
    )
    eventually(lambda: page.evaluate(ROWS) == [], lambda: page.evaluate(ROWS))


def test_a_full_account_is_told_and_nothing_is_lost(
    new_page: Callable[..., Page], chromium: Browser, moto: str, tmp_path: Path
) -> None:
    with run_service(moto, **SETTINGS, QUOTA_BYTES="100000") as service:
        someone = service.register("full@example.com")
        page = new_page(chromium)
        sign_in(page, service, someone)
        choose(page, sound_file(tmp_path, "Too much.wav", MIB))
        expect(uploading(page).locator(".fault")).to_be_visible()
        expect(uploading(page).get_by_role("button", name="Resume")).to_be_visible()
        assert len(page.evaluate(ROWS)) == 1


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_axe_finds_nothing_in_the_list(
    *,
    language: str,
    new_page: Callable[..., Page],
    chromium: Browser,
    weather: FaultProxy,
    far_away: Service,
    someone: dict[str, Any],
    axe: Axe,
    tmp_path: Path,
) -> None:
    page = new_page(chromium, locale=language)
    enter(page, far_away, someone)
    page.get_by_role("button", name=re.compile("^(Record|Aufnehmen)$")).wait_for()
    hanging = weather.add(Fault(Hang(), **OBJECTS))
    files = [sound_file(tmp_path, f"{name}.wav", 2 * MIB) for name in ("One", "Two", "A" * 100)]
    page.locator("input[type=file]").set_input_files([str(file) for file in files])
    eventually(lambda: hanging.applied == 1, "nothing is sent")
    rows = page.locator(".uploads li")
    expect(rows).to_have_count(3)
    rows.nth(1).get_by_role("button", name="Pause").click()
    expect(rows.nth(1).get_by_role("button", name=re.compile("^(Resume|Weiter)$"))).to_be_visible()
    axe.check(page)
