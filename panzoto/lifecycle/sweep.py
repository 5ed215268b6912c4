"""The daily sweep: what interrupted uploads and erasures left, what no table knows of, and what lies aside.

It compares every row with every object, in both directions and in constant memory, and hands what it finds
to `panzoto.removal`, which says what may become of it. Without `apply` it only tells. While a hold stands
or a table is empty, it only tells as well. A stored record without its object is told, never removed.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from panzoto import object_keys
from panzoto.errors import DamagedRecord, ObjectChanged, PanzotoError
from panzoto.lifecycle.row_chores import UNREADABLE, YOUNG, RowChores
from panzoto.lifecycle.scopes import WHOLE, Scope
from panzoto.lifecycle.sightings import LiesAside, Sightings, sightings
from panzoto.models import AudioFile, Claim, SweepMemory, Transcript, User, damage
from panzoto.models.attributes import now
from panzoto.removal import AT_MOST, Outcome, Removal, Rule, reasons_to_hold, target_of
from panzoto.storage import ListedEntry, Storage

# So many of each kind are named in the report; the rest is counted.
NAMED = 20
FIRST_SEEN = "of nobody: seen for the first time"
WAITING = "of nobody: waiting"
TO_MOVE = "of nobody: to be moved aside"
TO_GO = "aside: to go"
TO_BRING_BACK = "aside: named by a record or of an account by now, to be brought back"
TO_ABORT = "unfinished uploads of nobody: to go"
BARE_MARKERS = "of nobody: markers over nothing, to go"
ANOTHER_NIGHT = "more than a night may take"
TOO_LONG = "of nobody: left, since the key is too long to be moved"
MAYBE_NAMED = "of nobody: left, since a row that cannot be read may name it"
NOT_PLANS = "left among the plans of sittings, since the service did not write it"

# Where one of these cannot be read, nobody can tell what the row names.
NAMING = frozenset({"s3_key", "superseded_key", "upload_id"})

Progress = Callable[[int], None]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Findings:
    """What was found, as counts by kind.

    `named` names some of each kind, `without_object` the recordings whose object is missing,
    `held` tells why nothing was done.
    """

    counts: Counter[str] = field(default_factory=Counter)
    named: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    without_object: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    held: list[str] = field(default_factory=list)
    in_folders_of_accounts: int = 0
    removed: int = 0

    def add(self, kind: str, name: str = "", since: datetime | None = None) -> None:
        """Count one more of a kind, and name it while there are few."""
        self.counts[kind] += 1
        if name and len(self.named[kind]) < NAMED:
            self.named[kind].append(name if since is None else f"{name} (since {since:%Y-%m-%d})")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sweep works with."""

    storage: Storage
    removal: Removal
    rows: RowChores


class Sweep:
    """One sweep over one table and one bucket. At most `at_most` are moved or removed in a night."""

    def __init__(self, parts: Parts, apply: bool, at_most: int = AT_MOST, scope: Scope = WHOLE) -> None:
        self._parts = parts
        self._scope = scope
        self._apply = apply
        self._at_most = at_most
        self._left_tonight = 0
        self._is_all_named = True
        self._rule = Rule(now(), None)
        self.findings = Findings()

    def run(self, progress: Progress) -> Findings:
        """Look at everything once; `progress` is told how much that was so far. Raises `Unavailable`."""
        self.findings.held = reasons_to_hold()
        if self.findings.held and self._apply:
            SweepMemory.note_held()
        self._rule = Rule(now(), SweepMemory.last_held())
        self._left_tonight = max(0, self._at_most - SweepMemory.removed_tonight())
        with sightings() as found:
            self._look_at_everything(found, progress)
            self._leave_what_is_known(found)
            found.add_remembered(self._scope.remembered(found))
            self._remember(found)
            self._look_aside(found)
            self._look_at_unknown(found)
            candidates = found.rows_without_object()
            self.findings.without_object += [one for one in candidates if self._is_without_object(one)]
        self.findings.counts["records without object"] = len(self.findings.without_object)
        self._tell()
        return self.findings

    def _tell(self) -> None:
        """Write the line that the alarms over the sweep read.

        Chores sweep in many pieces, and those that have met nothing would bury the others.
        """
        findings = self.findings
        if not (self._scope.is_whole or findings.counts.total() or findings.failures or findings.held):
            return
        numbers = {
            "found": findings.counts.total(),
            "without_object": len(findings.without_object),
            "failed": findings.failures.total(),
            "first_seen": findings.counts[FIRST_SEEN],
            "waiting": findings.counts[WAITING],
            "removed": findings.removed,
            "held": len(findings.held),
        }
        log.info("sweep_finished", extra={"applied": self._apply, **numbers})

    def _look_at_everything(self, found: Sightings, progress: Progress) -> None:
        seen = 0
        for row in self._scope.rows():
            seen += 1
            found.add_row(row)
            if row.damaged:
                self._pass_over(row)
            else:
                self._look_at_row(row)
            progress(seen)
        for entry in self._scope.entries(self._parts.storage):
            seen += 1
            self._look_at_entry(entry, found)
            progress(seen)

    def _pass_over(self, row: AudioFile) -> None:
        """Tell of a row that cannot be read, and let nothing go in this sweep that it may name."""
        damage.tell(row.file_id)
        self.findings.failures[UNREADABLE] += 1
        if len(self.findings.named[UNREADABLE]) < NAMED:
            self.findings.named[UNREADABLE].append(row.file_id)
        if row.damaged & NAMING:
            self._is_all_named = False

    def _look_at_entry(self, entry: ListedEntry, found: Sightings) -> None:
        if entry.s3_key.startswith(object_keys.PLANS):
            self._look_at_plan(entry, found)
        elif entry.s3_key.startswith(object_keys.ASIDE):
            self._look_at_aside(entry, found)
        else:
            self._look_at_object(entry, found)

    def _look_at_row(self, row: AudioFile) -> None:
        rows, moment = self._parts.rows, now()
        if rows.due(row, moment) is None:
            return
        # Its account is read for those alone that are due, which are few.
        chore = rows.due(row, moment, _rests_until(row.user_id))
        if chore is not None:
            self._act(chore.kind, chore.act)

    def _look_at_object(self, entry: ListedEntry, found: Sightings) -> None:
        if entry.is_object:
            found.add_object(entry.s3_key)
        if entry.upload_id is not None:
            if not found.has_upload(entry.s3_key, entry.upload_id):
                found.add_unknown(entry)
        elif not found.has_key(entry.s3_key):
            found.add_unknown(entry)

    def _look_at_plan(self, entry: ListedEntry, found: Sightings) -> None:
        """A plan of a sitting goes after a day, whoever opened it; nothing else in that folder goes ever."""
        if now() - entry.modified_at <= YOUNG or entry.is_marker:
            return
        named = found.has_key(entry.s3_key) or bool(Claim.keys_taken([entry.s3_key]))
        if named or not self._parts.removal.is_plan(entry):
            self.findings.add(NOT_PLANS, entry.s3_key)
        else:
            self._act("plans of sittings", lambda: self._parts.removal.of_a_plan(entry))

    def _look_at_aside(self, entry: ListedEntry, found: Sightings) -> None:
        s3_key = object_keys.original_key(entry.s3_key)
        if entry.upload_id is not None:
            # Of a copy in parts that was interrupted.
            found.add_unknown(entry)
        elif s3_key is not None and not entry.is_marker:
            found.add_aside(entry, s3_key)
            if not self._scope.is_whole and self._parts.storage.has(s3_key):
                found.add_object(s3_key)

    def _leave_what_is_known(self, found: Sightings) -> None:
        """Leave what a claim names, and objects in the folder of an account as long as there is one."""
        for keys in found.unknown_keys():
            for s3_key in Claim.keys_taken(keys):
                found.forget_key(s3_key)
        for owners in found.unknown_owners():
            for owner in filter(_has_account, owners):
                self.findings.in_folders_of_accounts += found.forget_folder(owner)

    def _remember(self, found: Sightings) -> None:
        if self._apply and not self.findings.held:
            SweepMemory.remember(found.never_seen(), self._rule.moment)
            if self._scope.is_whole:
                SweepMemory.forget(found.seen_no_more())

    def _look_aside(self, found: Sightings) -> None:
        for one in found.aside():
            if not one.is_replaced and is_known(one.s3_key):
                self._bring_back(one)
            elif self._rule.may_go(one.entry.modified_at):
                is_unknown = _unknown_object(one.s3_key, replaced=one.is_replaced)
                self._count_down(TO_GO, one.s3_key, one.entry, self._parts.removal.let_go, is_unknown)

    def _bring_back(self, one: LiesAside) -> None:
        def bring_back() -> None:
            try:
                self._parts.removal.bring_back(one.s3_key)
            except ObjectChanged:
                # A newer version was brought back before this one, or its phone has put it again.
                return

        self.findings.add(TO_BRING_BACK, one.s3_key)
        self._do(TO_BRING_BACK, bring_back)

    def _look_at_unknown(self, found: Sightings) -> None:
        for one in found.unknown():
            if one.first_seen is None:
                self.findings.add(FIRST_SEEN, one.entry.s3_key)
            elif not self._may_act(one.entry, one.first_seen):
                self.findings.add(WAITING, one.entry.s3_key, self._rule.waits_since(one.first_seen))
            else:
                self._let_go(one.entry, found)

    def _may_act(self, entry: ListedEntry, first_seen: datetime) -> bool:
        return (self._rule.may_move_aside if entry.upload_id is None else self._rule.may_abort)(first_seen)

    def _let_go(self, entry: ListedEntry, found: Sightings) -> None:
        removal, s3_key = self._parts.removal, entry.s3_key
        if entry.upload_id is not None:
            upload_id = entry.upload_id
            self._count_down(
                TO_ABORT, s3_key, entry, removal.let_go, lambda: _unknown_upload(s3_key, upload_id)
            )
        elif entry.is_marker:
            # It hides what is under it, so it goes last.
            if found.is_alone(s3_key):
                self._count_down(BARE_MARKERS, s3_key, entry, removal.let_go, _unknown_object(s3_key))
            else:
                self.findings.add(WAITING, s3_key)
        elif target_of(entry) is None:
            self.findings.add(TOO_LONG, s3_key)
        else:
            self._count_down(TO_MOVE, s3_key, entry, removal.move_aside, _unknown_object(s3_key))

    def _count_down(
        self,
        kind: str,
        s3_key: str,
        entry: ListedEntry,
        act: Callable[[ListedEntry, int, Callable[[], bool]], Outcome],
        is_unknown: Callable[[], bool],
    ) -> None:
        """Do, or tell, what counts toward the night's number."""
        if not self._is_all_named:
            self.findings.add(MAYBE_NAMED, s3_key)
            return
        if not self._left_tonight:
            self.findings.add(ANOTHER_NIGHT, s3_key)
            return

        def count_and_act() -> None:
            outcome = act(entry, self._at_most, is_unknown)
            if outcome is Outcome.DONE:
                self.findings.removed += 1
            elif outcome in (Outcome.TOO_MANY, Outcome.HELD):
                # Another sweep took the rest of the night, or somebody has just set a hold.
                self._left_tonight = 0

        self.findings.add(kind, s3_key)
        self._left_tonight -= 1
        self._do(kind, count_and_act)

    def _is_without_object(self, file_id: str) -> bool:
        """Look again at both: between the row and the listing, somebody may have erased or upgraded it."""
        row = AudioFile.row(file_id)
        if row is None or not row.is_listed:
            return False
        return not self._parts.storage.has(row.s3_key)

    def _act(self, kind: str, act: Callable[[], object]) -> None:
        self.findings.add(kind)
        self._do(kind, act)

    def _do(self, kind: str, act: Callable[[], object]) -> None:
        if not self._apply or self.findings.held:
            return
        # One may have been set since the sweep began; that costs half a read unit.
        holds = SweepMemory.holds()
        if holds:
            self.findings.held = reasons_to_hold()
            return
        try:
            act()
        except PanzotoError as error:
            self.findings.failures[f"{kind}: {error.code}"] += 1


def _has_account(user_id: str) -> bool:
    """Whether there is such an account; of a UUID the case of its letters does not matter."""
    try:
        return any(User.find(one) is not None for one in {user_id, user_id.lower()})
    except DamagedRecord:
        return True


def _rests_until(user_id: str) -> datetime | None:
    """Return until when nothing of an account goes by time alone, as far as its row can be read."""
    try:
        user = User.find(user_id)
    except DamagedRecord:
        return datetime.max.replace(tzinfo=UTC)
    return None if user is None else user.rests_until


def _is_named(s3_key: str) -> bool:
    """Whether a table names the key at this moment; rows of the earlier service may have no claim."""
    of_transcript = object_keys.transcript_of(s3_key)
    if of_transcript is not None:
        try:
            transcript = Transcript.of(*of_transcript)
        except DamagedRecord as error:
            damage.tell(error.row)
            return True
        return transcript is not None and transcript.value("s3_key") == s3_key
    return bool(Claim.keys_taken([s3_key])) or AudioFile.is_named_by_another(s3_key, "")


def is_known(s3_key: str) -> bool:
    """Whether a table names the key, or an account that exists has it in its folder."""
    owner = object_keys.owner_of(s3_key)
    return _is_named(s3_key) or (owner is not None and _has_account(owner))


def _unknown_object(s3_key: str, *, replaced: bool = False) -> Callable[[], bool]:
    """Return what tells at the last moment whether an object may go.

    What lies aside while another object is under its key may: that one is what the table means.
    """
    return lambda: replaced or not is_known(s3_key)


def _unknown_upload(s3_key: str, upload_id: str) -> bool:
    claim = Claim.on_s3_key(s3_key)
    row = AudioFile.row(claim.file_id) if claim is not None and claim.file_id else None
    return row is None or row.value("upload_id") != upload_id
