"""`verify`: is all that the database holds in DynamoDB as it should be? Reads both sides, changes neither."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from migrations_from_rds import compare, report
from migrations_from_rds.commands import proof
from migrations_from_rds.commands.copy import STAGES, check_source, check_target, policy_of, tell_hidden_rows
from migrations_from_rds.compare import Verdict
from migrations_from_rds.display import Display
from migrations_from_rds.errors import Status
from migrations_from_rds.indexes import IndexCheck, Sums, index_of
from migrations_from_rds.options import Options
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Sender
from migrations_from_rds.source import Snapshot, snapshot
from migrations_from_rds.state import Known, State, looked_at
from migrations_from_rds.survey import EVERYTHING, ROWS_AT_ONCE, Lookups, Survey
from migrations_from_rds.target import model_of
from migrations_from_rds.transform import Wanted
from panzoto.config import Settings
from panzoto.models import AudioFile, Claim
from panzoto.models.bulk import (
    MOST_KEYS,
    BulkTables,
    Item,
    MigratedRecording,
    MigratedUser,
    holds,
    text,
)
from panzoto.services import Services

PAGES_UNDER_WAY = 4
SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it should be, or that the service has changed since."""

    table: str
    row_id: str
    verdict: Verdict

    def to_json(self) -> dict[str, str]:
        what = {"code": self.verdict.code, "reason": self.verdict.sentence}
        return {"table": self.table, "id": self.row_id, **what}


@dataclass(slots=True)
class Findings:
    """What a verification found, of each kind the first thousand by id."""

    tally: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    since: list[Difference] = field(default_factory=list)

    def add(self, table: str, row_id: str, verdict: Verdict) -> None:
        if not verdict.code:
            return
        kind, where = ("changed_since", self.since) if verdict.since else ("different", self.differences)
        self.tally[f"{table}.{kind}"] += 1
        if len(where) < SHOWN:
            where.append(Difference(table, row_id, verdict))

    @property
    def different(self) -> int:
        return sum(self.tally[f"{table}.different"] for table in STAGES)


def run(options: Options, settings: Settings, display: Display) -> Status:
    """Compare everything, then prove the accounts whose passwords are given."""
    began = report.now()
    tables = BulkTables(options.threads)
    tables.identity()
    token = None if options.old_token is None else proof.old_token(settings, options.old_token)
    passwords = [(email, proof.ask_password(email)) for email in options.accounts]
    with (
        looked_at(options.state_dir) as state,
        snapshot(options.database(), options.layout) as source,
    ):
        check_target(state, tables)
        source.check_schema()
        check_source(state, source)
        tell_hidden_rows(source, display)
        verification = _Verification(options, state, tables, display)
        verification.run(source)
        rejected, gone_bad = state.rejected_count(), state.gone_bad_count()
        report.print_problems(display, state, options.state_dir, codes=report.NAMED_CODES)
        problems = report.problem_counts(state)
    services = Services.build(settings) if passwords else None
    proofs = [
        proof.prove(services, email, password, options.service_url)
        for email, password in passwords
        if services is not None
    ]
    findings = verification.findings
    _print(display, findings, rejected, gone_bad, proofs)
    if token is not None:
        display.say(token.sentence)
    content = {
        "differences": findings.different,
        "difference_rows": [difference.to_json() for difference in findings.differences],
        "changed_since": [difference.to_json() for difference in findings.since],
        "counts": dict(findings.tally),
        "rejected": rejected,
        "gone_bad": gone_bad,
        "old_token_accepted": None if token is None else token.accepted,
        "problems": problems,
        "accounts": [{"email": p.email, "proved": not p.failure, "what": p.sentence()} for p in proofs],
    }
    report.write_report(options.state_dir, "verify", began, content)
    failed = (
        findings.different
        or any(p.failure for p in proofs)
        or (token is not None and not token.accepted)
        or (options.strict and (rejected or gone_bad))
    )
    return Status.DIFFERENT if failed else Status.DONE


class _Verification:
    def __init__(self, options: Options, state: State, tables: BulkTables, display: Display) -> None:
        self._options = options
        self._state = state
        self._tables = tables
        self._display = display
        self._sender = Sender(tables, options.pace())
        self._survey = Survey(state, policy_of(options, state), Lookups.of(self._sender))
        self.findings = Findings()

    def run(self, source: Snapshot) -> None:
        """Compare all rows, their claims and both indexes."""
        self._survey.find_collisions(source)
        with self._display.task("looking at accounts", source.count(USERS, EVERYTHING)) as advance:
            self._survey.run(source, advance)
        for table in STAGES:
            sums = Sums(table, [self._state.fact("migration", "")])
            with self._display.task(table, source.count(table, EVERYTHING)) as advance:
                self._rows(table, source, sums, advance)
            with self._display.task(index_of(table), sums.rows) as advance:
                checked = IndexCheck(self._tables, table).run(sums, source, advance)
            self.findings.tally[f"{table}.in_index"] = checked.rows
            self.findings.tally[f"{table}.index_buckets_not_named"] = checked.buckets_not_named
            if checked.buckets_not_named:
                self.findings.tally[f"{table}.different"] += checked.buckets_not_named
            for row_id, verdict in checked.differences:
                self.findings.add(table, row_id, verdict)

    def _rows(self, table: str, source: Snapshot, sums: Sums, advance: Callable[[int], None]) -> None:
        read = source.files if table == AUDIO_FILES else source.users
        whole: Iterator[Sequence[Any]] = read(EVERYTHING, ROWS_AT_ONCE)
        under_way: deque[tuple[int, list[Future[list[tuple[str, Verdict]]]]]] = deque()

        def finish() -> None:
            rows, parts = under_way.popleft()
            for part in parts:
                for row_id, verdict in part.result():
                    self.findings.add(table, row_id, verdict)
            advance(rows)

        with ThreadPoolExecutor(self._options.threads) as pool:
            for page in chain(whole, source.without_id(table, ROWS_AT_ONCE)):
                under_way.append((len(page), self._begin(table, page, sums, pool)))
                if len(under_way) > PAGES_UNDER_WAY:
                    finish()
            while under_way:
                finish()

    def _begin(
        self, table: str, page: Sequence[Any], sums: Sums, pool: ThreadPoolExecutor
    ) -> list[Future[list[tuple[str, Verdict]]]]:
        wanted, problems = self._survey.judge(table, page)
        known = self._state.known(table, [row[0] for row in page])
        fed_back = {row_id: what for row_id, what in known.items() if what.mended and what.settled}
        self._state.add_problems(problem for problem in problems if problem.row_id not in fed_back)
        self.findings.tally[f"{table}.read"] += len(page)
        rejected = {problem.row_id for problem in problems if problem.rejected} - fed_back.keys()
        self.findings.tally[f"{table}.rejected"] += len(rejected)
        as_read = [row for row in wanted if row.row_id not in fed_back]
        parts = [
            pool.submit(self._compare, table, as_read[at : at + MOST_KEYS], sums)
            for at in range(0, len(as_read), MOST_KEYS)
        ]
        bad = [problem.row_id for problem in problems if problem.code == "gone_bad"]
        if bad:
            parts.append(pool.submit(self._compare_kept, table, bad, sums))
        if fed_back:
            parts.append(pool.submit(self._compare_mended, table, fed_back, sums))
        return parts

    def _compare(self, table: str, rows: Sequence[Wanted], sums: Sums) -> list[tuple[str, Verdict]]:
        stored = self._fetch(table, [row.row_id for row in rows])
        sums.admit(stored.values())
        verdicts = {row.row_id: compare.row(row, stored.get(row.row_id)) for row in rows}
        return self._with_claims(rows, stored, verdicts)

    def _with_claims(
        self, rows: Sequence[Wanted], stored: dict[str, Item], verdicts: dict[str, Verdict]
    ) -> list[tuple[str, Verdict]]:
        """Compare the claims too, of those of `rows` that are there themselves."""
        claims = self._sender.patiently(lambda: self._tables.fetch(Claim, [row.claim for row in rows]))
        holders = self._holders(rows, claims)
        for row in rows:
            verdict = verdicts[row.row_id]
            if verdict.code in ("", "changed_since"):
                found = claims.get(row.claim)
                holder = holders.get(text(found or {}, "file_id") or "")
                about_claim = compare.claim(row, stored.get(row.row_id), found, holder)
                verdicts[row.row_id] = _worse(verdict, about_claim)
        return list(verdicts.items())

    def _holders(self, rows: Sequence[Wanted], claims: dict[str, Item]) -> dict[str, Item]:
        """Return the recordings that hold the claims of others in `rows`."""
        others = [
            text(claim, "file_id")
            for row in rows
            if (claim := claims.get(row.claim)) is not None and not holds(claim, row.item)
        ]
        wanted = [file_id for file_id in others if file_id is not None]
        return self._sender.patiently(lambda: self._tables.fetch(AudioFile, wanted))

    def _compare_kept(self, table: str, ids: list[str], sums: Sums) -> list[tuple[str, Verdict]]:
        """Look for rows that went bad after they were copied: they must be there, whatever they hold."""
        stored = self._fetch(table, ids)
        sums.admit(stored.values())
        return [(row_id, compare.kept(stored.get(row_id))) for row_id in ids]

    def _compare_mended(self, table: str, known: dict[str, Known], sums: Sums) -> list[tuple[str, Verdict]]:
        stored = self._fetch(table, list(known))
        sums.admit(stored.values())
        kind = MigratedUser if table == USERS else MigratedRecording
        verdicts = {
            row_id: compare.mended(what.digest, table == USERS, stored.get(row_id))
            for row_id, what in known.items()
        }
        # The database does not know what was mended, so its claim follows from the row itself.
        rows = [
            Wanted(arrived, known[row_id].digest or b"")
            for row_id, item in stored.items()
            if (arrived := compare.as_it_arrived(kind, item)) is not None
        ]
        return self._with_claims(rows, stored, verdicts)

    def _fetch(self, table: str, ids: list[str]) -> dict[str, Item]:
        return self._sender.patiently(lambda: self._tables.fetch(model_of(table), ids))


def _worse(row: Verdict, claim: Verdict) -> Verdict:
    """Return the verdict that says more: a difference before a change by the service."""
    return claim if claim.code and (not row.code or not claim.since) else row


def _print(
    display: Display, findings: Findings, rejected: int, gone_bad: int, proofs: list[proof.Proof]
) -> None:
    for difference in findings.differences:
        display.say(
            f"DIFFERENT  {difference.table}  {difference.row_id}  "
            f"{difference.verdict.code}: {difference.verdict.sentence}"
        )
    for difference in findings.since:
        display.say(f"changed since  {difference.table}  {difference.row_id}  {difference.verdict.sentence}")
    names = ("read", "rejected", "different", "changed_since", "in_index")
    rows = [[name, *(f"{findings.tally[f'{table}.{name}']:,}" for table in STAGES)] for name in names]
    display.table("Rows", ["", *STAGES], rows)
    for one in proofs:
        display.say(one.sentence())
    display.say(f"{findings.different} differences" if findings.different else "No difference")
    if rejected:
        display.say(f"{rejected} rows of the database are rejected by the rules and are not in DynamoDB")
    if gone_bad:
        display.say(
            f"{gone_bad} rows could not be taken as they are now; "
            "they stay in DynamoDB as they were copied (gone_bad)"
        )
