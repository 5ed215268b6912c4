"""An Inventory report says what LIST says: entry for entry and mark for mark, or nothing at all."""

from __future__ import annotations

import gzip
import itertools
import random
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panzoto import object_keys
from panzoto.errors import UnusableInventory
from panzoto.lifecycle.inventory import OF_OBJECTS, OF_VERSIONS, entries, manifest_at, newest_manifest
from panzoto.removal import mark_of, target_of
from panzoto.storage import ListedEntry, Storage
from tests.support.aws import REGION, aws_environment
from tests.support.inventory_report import COLUMNS, MOMENT, Place
from tests.support.odd_keys import odd_keys
from tests.support.service import aws_client

OWNER = "0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01"
ODD = (
    "users/a b+c%d&e=f?g#h.3gp",
    "users/plus+plus",
    "users/percent%20kept%2Bkept",
    "users/comma,quote\"apostrophe'",
    "users/grüße/録音-🎙.3gp",
    "audio_upload/tab\tkey",
)
_serial = itertools.count()


@pytest.fixture
def place(moto: str) -> Place:
    """A fresh bucket and where its reports go."""
    s3, number = aws_client("s3", moto), next(_serial)
    place = Place(s3, f"inventory-source-{number}", f"inventory-reports-{number}")
    for bucket in (place.source, place.destination):
        s3.create_bucket(Bucket=bucket)
    return place


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """A session of its own, which reads the description of S3 once for all clients of these tests."""
    return boto3.Session()


@pytest.fixture
def storage(place: Place, moto: str, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Storage:
    # The session of this process remembers the credentials that it met first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    for name, value in aws_environment(moto).items():
        monkeypatch.setenv(name, value)
    return Storage(place.source, REGION, custom_endpoint=True, threads=4)


def location(place: Place) -> str:
    return f"s3://{place.destination}/{place.prefix}"


def read(storage: Storage, place: Place) -> list[ListedEntry]:
    manifest = newest_manifest(storage, location(place))
    return [entry for file in manifest.files for entry in entries(manifest, file)]


def fill(place: Place) -> None:
    """Put what every kind of key looks like, put some anew, and remove some."""
    keys = [*ODD, *odd_keys(OWNER, 25)]
    for number, s3_key in enumerate(keys):
        for body in (b"first", b"second")[: 1 + number % 2]:
            place.s3.put_object(Bucket=place.source, Key=s3_key, Body=body)
        if number % 3 == 0:
            place.s3.delete_object(Bucket=place.source, Key=s3_key)
    parts = {"Bucket": place.source, "Key": f"users/{OWNER}/in-parts"}
    upload = {**parts, "UploadId": place.s3.create_multipart_upload(**parts)["UploadId"]}
    etags = [
        place.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, b"x" * 5 * 1024**2), (2, b"y"))
    ]
    place.s3.complete_multipart_upload(
        **upload,
        MultipartUpload={
            "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        },
    )


class TestWhatLISTSays:
    @pytest.fixture(params=["never versioned", "versioned", "versioned later"])
    def filled(self, request: pytest.FixtureRequest, place: Place) -> Place:
        def version() -> None:
            place.s3.put_bucket_versioning(Bucket=place.source, VersioningConfiguration={"Status": "Enabled"})

        if request.param == "versioned":
            version()
        fill(place)
        if request.param == "versioned later":
            version()
            fill(place)
        return place

    def test_entries_and_marks_are_the_same(self, filled: Place, storage: Storage) -> None:
        filled.deliver([filled.listed()])
        listed = {entry for folder in object_keys.FOLDERS for entry in storage.entries(folder)}
        told = read(storage, filled)
        assert len(told) == len(listed) > len(ODD)
        assert {replace(one, modified_at=whole_seconds(one)) for one in listed} == set(told)
        assert {(mark_of(one), target_of(one)) for one in listed} == {
            (mark_of(one), target_of(one)) for one in told
        }

    def test_an_entry_leads_the_storage_to_the_same_version(self, filled: Place, storage: Storage) -> None:
        filled.deliver([filled.listed()])
        for entry in read(storage, filled):
            if not entry.is_marker:
                beginning = storage.beginning(entry, 6)
                assert beginning in (b"first", b"second", b"xxxxxx")
                assert min(entry.size, 6) == len(beginning)


def whole_seconds(entry: ListedEntry) -> datetime:
    return entry.modified_at.replace(microsecond=0)


keys = st.builds(
    "{}{}".format,
    st.sampled_from(object_keys.FOLDERS),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40),
)
moments = st.integers(1_142_000_000, 4_102_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
objects = st.builds(
    ListedEntry,
    s3_key=keys,
    modified_at=moments,
    version_id=st.one_of(st.just("null"), st.from_regex(r"[A-Za-z0-9._]{32}", fullmatch=True)),
    upload_id=st.none(),
    is_latest=st.booleans(),
    is_marker=st.just(False),
    etag=st.from_regex(r'"[0-9a-f]{32}(-[1-9][0-9]{0,3})?"', fullmatch=True),
    size=st.integers(0, 5 * 1024**4),
)
markers = objects.map(lambda entry: replace(entry, is_marker=True, etag="", size=0))


class TestFormat:
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        files=st.lists(st.lists(st.one_of(objects, markers), max_size=8), max_size=3),
        columns=st.permutations((*COLUMNS, "StorageClass", "EncryptionStatus", "IsMultipartUploaded")),
    )
    def test_whatever_is_written_is_read_in_whatever_order_of_columns(
        self, files: list[list[ListedEntry]], columns: list[str], place: Place, storage: Storage
    ) -> None:
        place.deliver(files, columns=columns)
        manifest = newest_manifest(storage, location(place))
        assert [list(entries(manifest, file)) for file in manifest.files] == files
        for file, written in zip(manifest.files, files, strict=True):
            assert list(entries(manifest, file, len(written) // 2)) == written[len(written) // 2 :]

    @pytest.mark.parametrize("odd", [*ODD, "users/line\nbreak\r\n", "users/\u2028", "users/+", "users/%2B%"])
    def test_odd_keys_are_read(self, odd: str, place: Place, storage: Storage) -> None:
        place.deliver([[one_object(odd), one_object()]])
        assert read(storage, place) == [one_object(odd), one_object()]

    def test_nothing_outside_of_the_services_folders_is_told(self, place: Place, storage: Storage) -> None:
        ours, other = one_object("users/a"), one_object("inventories/data/x.csv.gz")
        place.deliver([[other, ours, other]])
        assert read(storage, place) == [ours]

    def test_a_file_is_never_in_memory_as_a_whole(self, place: Place, storage: Storage) -> None:
        chance = random.Random(1)
        place.deliver([[one_object(f"users/{chance.randbytes(40).hex()}") for _ in range(30_000)]])
        manifest = newest_manifest(storage, location(place))
        assert manifest.files[0].size > 1_200_000
        tracemalloc.start()
        try:
            assert sum(1 for _ in entries(manifest, manifest.files[0])) == 30_000
            assert tracemalloc.get_traced_memory()[1] < 800_000
        finally:
            tracemalloc.stop()


def one_object(s3_key: str = f"users/{OWNER}/one") -> ListedEntry:
    return ListedEntry(s3_key, MOMENT, "null", None, True, False, f'"{"0" * 32}"', 5)


class TestNewest:
    def test_the_newest_complete_one_is_taken(self, place: Place, storage: Storage) -> None:
        place.deliver([[one_object("users/old")]], MOMENT - timedelta(days=1))
        whole = place.deliver([[one_object("users/new")]])
        begun = place.deliver([[one_object("users/begun")]], MOMENT + timedelta(days=1))
        place.s3.delete_object(Bucket=place.destination, Key=begun.replace(".json", ".checksum"))
        manifest = newest_manifest(storage, location(place))
        assert (manifest.s3_key, manifest.created_at) == (whole, MOMENT)
        assert [entry.s3_key for entry in read(storage, place)] == ["users/new"]

    def test_an_older_one_is_found_again_by_its_key(self, place: Place, storage: Storage) -> None:
        key = place.deliver([[one_object("users/old")]])
        older = newest_manifest(storage, location(place))
        place.deliver([[one_object("users/new")]], MOMENT + timedelta(days=1))
        assert manifest_at(storage, location(place), key) == older
        place.s3.delete_object(Bucket=place.destination, Key=key.replace(".json", ".checksum"))
        with pytest.raises(UnusableInventory, match="not there any more"):
            manifest_at(storage, location(place), key)

    @pytest.mark.parametrize("deeper", ["", "/", "/{source}", "/{source}/daily", "/{source}/daily/"])
    def test_the_place_may_name_bucket_and_configuration(
        self, deeper: str, place: Place, storage: Storage
    ) -> None:
        key = place.deliver([[one_object()]])
        assert newest_manifest(storage, location(place) + deeper.format(source=place.source)).s3_key == key

    def test_it_may_have_no_prefix(self, place: Place, storage: Storage) -> None:
        key = replace(place, prefix="").deliver([[one_object()]])
        assert newest_manifest(storage, f"s3://{place.destination}").s3_key == key

    def test_of_several_one_must_be_named(self, place: Place, storage: Storage) -> None:
        place.deliver([[one_object()]])
        weekly = replace(place, configuration="weekly").deliver([[one_object()]])
        with pytest.raises(UnusableInventory, match=f"{place.source}/daily or s3://.*{place.source}/weekly"):
            newest_manifest(storage, location(place))
        assert newest_manifest(storage, f"{location(place)}/{place.source}/weekly").s3_key == weekly

    def test_where_none_was_delivered_that_is_said(self, place: Place, storage: Storage) -> None:
        with pytest.raises(UnusableInventory, match="within 48 hours"):
            newest_manifest(storage, location(place))

    def test_a_bucket_that_is_not_there_is_said(self, storage: Storage) -> None:
        with pytest.raises(UnusableInventory, match="s3:ListBucket"):
            newest_manifest(storage, "s3://no-such-bucket-anywhere/inventories")

    @pytest.mark.parametrize("wrong", ["reports", "s3://", "http://bucket/x", "s3://UPPER/x"])
    def test_what_is_no_place_is_refused(self, wrong: str, storage: Storage) -> None:
        with pytest.raises(UnusableInventory, match="s3://bucket/prefix"):
            newest_manifest(storage, wrong)


class TestRefused:
    @pytest.mark.parametrize("missing", [*OF_OBJECTS, *OF_VERSIONS])
    def test_a_missing_column_is_named(self, missing: str, place: Place, storage: Storage) -> None:
        place.deliver([[one_object()]], columns=[name for name in COLUMNS if name != missing])
        with pytest.raises(UnusableInventory, match=f"lacks {missing}; make an inventory in the format CSV"):
            newest_manifest(storage, location(place))

    @pytest.mark.parametrize("other", ["ORC", "Parquet"])
    def test_other_formats_are_told_how_to_make_one(self, other: str, place: Place, storage: Storage) -> None:
        place.deliver([], fileFormat=other, fileSchema="struct<bucket:string,key:string>")
        with pytest.raises(UnusableInventory, match=f"format {other}; make an inventory in the format CSV"):
            newest_manifest(storage, location(place))

    def test_a_report_on_another_bucket_is_refused(self, place: Place, storage: Storage) -> None:
        place.deliver([[one_object()]], sourceBucket="another")
        with pytest.raises(UnusableInventory, match="another bucket"):
            newest_manifest(storage, location(place))

    @pytest.mark.parametrize(
        "told",
        [
            {"files": None},
            {"files": [{"key": "x", "size": 1}]},
            {"files": [{"key": "x", "size": 1, "MD5checksum": "no"}]},
            {"creationTimestamp": "yesterday"},
            {"creationTimestamp": 10**30},
            {"fileSchema": None},
            {"fileSchema": ", ".join((*COLUMNS, "Key"))},
        ],
    )
    def test_what_is_no_manifest_is_refused(
        self, told: dict[str, Any], place: Place, storage: Storage
    ) -> None:
        place.deliver_manifest([], told=told)
        with pytest.raises(UnusableInventory):
            newest_manifest(storage, location(place))

    def test_a_manifest_that_was_changed_is_refused(self, place: Place, storage: Storage) -> None:
        key = place.deliver([[one_object()]])
        place.put(key, b"{}")
        with pytest.raises(UnusableInventory, match="damaged"):
            newest_manifest(storage, location(place))


FLAWED = {
    "cut": lambda packed: packed[:-9],
    "longer": lambda packed: packed + b"\0",
    "a bit turned": lambda packed: packed[:20] + bytes([packed[20] ^ 1]) + packed[21:],
}


class TestDamage:
    @pytest.mark.parametrize("flaw", FLAWED)
    def test_of_a_damaged_file_nothing_is_told(self, flaw: str, place: Place, storage: Storage) -> None:
        place.deliver([[one_object(f"users/{number}") for number in range(5_000)]])
        manifest = newest_manifest(storage, location(place))
        s3_key = manifest.files[0].s3_key
        packed = place.s3.get_object(Bucket=place.destination, Key=s3_key)["Body"].read()
        place.put(s3_key, FLAWED[flaw](packed))
        told: list[ListedEntry] = []
        with pytest.raises(UnusableInventory, match=r"damaged|has .* bytes"):
            told.extend(entries(manifest, manifest.files[0]))
        assert told == []

    def test_a_file_that_is_gone_is_said(self, place: Place, storage: Storage) -> None:
        place.deliver([[one_object()]])
        manifest = newest_manifest(storage, location(place))
        place.s3.delete_object(Bucket=place.destination, Key=manifest.files[0].s3_key)
        with pytest.raises(UnusableInventory, match="s3:GetObject"):
            next(entries(manifest, manifest.files[0]))

    @pytest.mark.parametrize(
        "line",
        [
            '"{bucket}","users/a"',
            '"{bucket}","users/a","","true","false","5","2026-11-28T01:00:00.000Z","{etag}","more"',
            '"{bucket}","users/%FF","","true","false","5","2026-11-28T01:00:00.000Z","{etag}"',
            '"{bucket}","users/a","","perhaps","false","5","2026-11-28T01:00:00.000Z","{etag}"',
            '"{bucket}","users/a","","true","false","","2026-11-28T01:00:00.000Z","{etag}"',
            '"{bucket}","users/a","","true","false","5","2026-11-28T01:00:00.000","{etag}"',
            '"{bucket}","users/a","","true","false","5","last week","{etag}"',
            '"{bucket}","users/a","","true","false","5","2026-11-28T01:00:00.000Z",""',
            '"another","users/a","","true","false","5","2026-11-28T01:00:00.000Z","{etag}"',
            '"{bucket}","users/a","","true","false","5","2026-11-28T01:00:00.000Z","{etag}',
        ],
    )
    def test_a_line_that_s3_does_not_write_is_refused(
        self, line: str, place: Place, storage: Storage
    ) -> None:
        content = line.format(bucket=place.source, etag="0" * 32).encode()
        place.deliver_manifest([place.deliver_packed(gzip.compress(content))])
        with pytest.raises(UnusableInventory, match="no file of an inventory"):
            read(storage, place)

    def test_what_is_no_gzip_is_refused(self, place: Place, storage: Storage) -> None:
        place.deliver_manifest([place.deliver_packed(b"users/a")])
        with pytest.raises(UnusableInventory, match="no file of an inventory"):
            read(storage, place)
