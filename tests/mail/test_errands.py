"""Errands as data: what their seals hide, what comes back out of them, what another release makes of them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from panzoto.config import Rate
from panzoto.crypto.sealed import Sealer
from panzoto.mail import errands
from panzoto.mail.carrying import Carrier
from panzoto.mail.codes import MailCodes
from panzoto.mail.errands import Envelopes, Errand, Lapsed, NoErrand
from panzoto.mail.letter_limit import LetterLimit
from panzoto.mail.letters import Letters
from panzoto.mail.transports import NotSent
from panzoto.mail.worker import MailWorker, pause_before
from panzoto.mail.writing import Writer
from panzoto.queues.consumer import Later, PutAside
from panzoto.queues.outbox import Outbox
from panzoto.queues.queue import Message, QueueUnavailable

SECRET, EARLIER = "s" * 40, "e" * 40
SENDER = "Panzoto <no-reply@panzoto.example>"
BODY = re.compile(r"[A-Za-z0-9_-]+")


def envelopes(*secrets: str) -> Envelopes:
    return Envelopes(Sealer(secrets[0], secrets[1:], "letter"))


def notice(to: str = "ada@example.com", device: str = "Ada's telephone") -> Errand:
    values = {
        "user_id": "b5b0b1c2-0000-4000-8000-000000000000",
        "to": to,
        "is_confirmed": True,
        "is_new_device": False,
        "client_address": "203.0.113.7",
        "device_name": device,
    }
    return Errand.of(errands.PASSWORD_CHANGED, values, is_counted=True)


class TestSeals:
    def test_what_is_sealed_comes_back_the_same(self) -> None:
        errand = notice(device="Теле́фон 📱").counted().again()
        assert envelopes(SECRET).open(envelopes(SECRET).seal(errand)) == errand

    def test_after_a_change_of_the_secret_it_still_opens(self) -> None:
        errand = notice()
        assert envelopes(SECRET, EARLIER).open(envelopes(EARLIER).seal(errand)) == errand

    @pytest.mark.parametrize("body", ["", "{}", "a message of somebody else", "é", "A" * 2000, "A" * 99_999])
    def test_what_is_none_of_ours_is_told(self, body: str) -> None:
        with pytest.raises(NoErrand):
            envelopes(SECRET).open(body)

    def test_what_another_secret_or_purpose_sealed_is_none(self) -> None:
        for foreign in (envelopes(EARLIER), Envelopes(Sealer(SECRET, (), "transcription"))):
            with pytest.raises(NoErrand):
                envelopes(SECRET).open(foreign.seal(notice()))

    def test_past_its_time_it_has_lapsed(self) -> None:
        errand = Errand.of(errands.RESET, {"to": "ada@example.com"}, until=int(time.time()) - 1)
        with pytest.raises(Lapsed):
            envelopes(SECRET).open(envelopes(SECRET).seal(errand))

    def test_all_look_alike_whatever_they_tell_and_to_whom(self) -> None:
        seal = envelopes(SECRET).seal
        bodies = [
            seal(Errand.of(errands.RESET, {"to": "a@b.example"})),
            seal(Errand.of(errands.RESET, {"to": "a" * 60 + "@" + "b" * 180 + ".example"})),
            seal(notice(device="📱" * 64)),
            seal(notice().again()),
        ]
        assert {len(body) for body in bodies} == {len(bodies[0])}
        assert all(BODY.fullmatch(body) for body in bodies)

    def test_neither_values_nor_ids_are_shown_by_accident(self) -> None:
        assert "ada@example.com" not in repr(notice())


class Transport:
    """Takes messages, or raises what it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[str] = []

    def send(self, kind: str, message: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(f"{kind} to {message['To']}")


class Kept(Outbox):
    """An outbox that keeps what is sent, or is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.sent: list[tuple[str, int]] = []

    def send(self, body: str, delay_seconds: int = 0) -> None:
        if self.is_away:
            raise QueueUnavailable(reason="away")
        self.sent.append((body, delay_seconds))


def worker(transport: Transport, outbox: Outbox) -> MailWorker:
    writer = Writer(MailCodes(SECRET, ()), Letters(None))
    carrier = Carrier(writer, LetterLimit(Rate(5, 3600)), transport, SENDER)
    return MailWorker(envelopes(SECRET), writer, carrier, outbox)


def message(errand: Errand) -> Message:
    return Message("an id", envelopes(SECRET).seal(errand), "a receipt", 1)


class TestWorking:
    def test_an_errand_leaves_once_however_often_its_message_comes(self) -> None:
        transport = Transport()
        working, sent = worker(transport, Kept()), message(notice())
        for _ in range(3):
            working.handle(sent)
        assert transport.sent == ["password-changed to ada@example.com"]

    def test_what_fails_comes_again_later_each_time_and_says_so_itself(self) -> None:
        transport, outbox = Transport(*[NotSent("Throttling")] * 3), Kept()
        working, errand = worker(transport, outbox), notice()
        working.handle(message(errand))
        for _ in range(3):
            body, _ = outbox.sent[-1]
            working.handle(Message("another id", body, "a receipt", 1))
        assert transport.sent == ["password-changed to ada@example.com"]
        assert [delay for _, delay in outbox.sent] == [5, 10, 20]
        again = [envelopes(SECRET).open(body) for body, _ in outbox.sent]
        assert [one.attempt for one in again] == [2, 3, 4]
        assert {(one.errand_id, one.is_counted) for one in again} == {(errand.errand_id, True)}

    def test_pauses_grow_to_five_minutes(self) -> None:
        assert [pause_before(attempt) for attempt in (2, 3, 8, 9, 1000)] == [5, 10, 300, 300, 300]

    def test_where_the_queue_takes_nothing_back_the_message_itself_waits(self) -> None:
        working = worker(Transport(NotSent("Throttling")), Kept(is_away=True))
        with pytest.raises(Later) as later:
            working.handle(message(notice()))
        assert later.value.seconds == 5

    def test_what_never_went_well_is_put_aside_at_its_end(self) -> None:
        ending = Errand.of(errands.RECOVERED, notice().values, until=int(time.time()) + 4)
        outbox = Kept()
        with pytest.raises(PutAside):
            worker(Transport(NotSent("Throttling")), outbox).handle(message(ending))
        assert outbox.sent == []

    def test_what_no_attempt_would_send_is_done(self) -> None:
        transport, outbox = Transport(), Kept()
        worker(transport, outbox).handle(message(notice(to="ädä@example.com")))
        assert (transport.sent, outbox.sent) == ([], [])

    def test_what_cannot_be_written_is_kept_and_told_without_what_it_holds(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = Errand.of(errands.RECOVERED, {"to": "ada@example.com"}, is_counted=True)
        outbox = Kept()
        worker(Transport(), outbox).handle(message(broken))
        assert len(outbox.sent) == 1
        (told,) = caplog.records
        assert (told.message, told.levelname) == ("mail_failed", "ERROR")

    def test_a_kind_of_another_release_is_left_to_it_and_then_put_aside(self) -> None:
        transport, outbox = Transport(), Kept()
        working = worker(transport, outbox)
        young = Errand.of("of-tomorrow", {"to": "ada@example.com"})
        with pytest.raises(Later):
            working.handle(message(young))
        old = Errand(young.kind, young.values, young.until, made_at=int(time.time()) - 3600)
        with pytest.raises(PutAside):
            working.handle(message(old))
        assert (transport.sent, outbox.sent) == ([], [])

    @pytest.mark.parametrize("body", ["not ours", envelopes(EARLIER).seal(notice())])
    def test_what_does_not_open_is_thrown_away_and_told(
        self, body: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker(Transport(), Kept()).handle(Message("an id", body, "a receipt", 1))
        assert [record.message for record in caplog.records] == ["mail_unreadable"]

    def test_what_is_of_no_use_any_more_is_thrown_away_and_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        late = Errand.of(errands.RESET, {"to": "ada@example.com"}, until=int(time.time()) - 1)
        worker(Transport(), Kept()).handle(message(late))
        assert [record.message for record in caplog.records] == ["mail_lapsed"]
