"""Nobody stops everybody: whatever clients do slowly, on purpose or not, others are answered."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from panzoto.playback.places import MOST_OF_ACCOUNT, MOST_OF_ONE
from tests.conftest import UNLIMITED
from tests.support import slow
from tests.support.service import Service, run_service
from tests.support.waiting import eventually
from tests.support.wire import Peer

# As few threads as any machine has, in production.
THREADS = 32
LONG = os.urandom(12 * 1024 * 1024)
JSON_POST = b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(moto: str) -> Iterator[Service]:
    with run_service(moto, anew=True, THREADS=str(THREADS), **UNLIMITED) as running:
        running.register("bystander@example.com")
        yield running


@pytest.fixture(scope="module")
def listener(service: Service) -> dict[str, Any]:
    return service.register("listener@example.com")


@pytest.fixture(scope="module")
def path(service: Service, listener: dict[str, Any]) -> str:
    return slow.opened(service, listener, LONG)


class TestOthersAreAnswered:
    def test_beside_listeners_who_read_nothing(self, service: Service, path: str) -> None:
        with slow.crowd(service, slow.request(service, path), 150) as clients:
            assert Counter(slow.statuses(clients)) == {200: MOST_OF_ONE, 429: 150 - MOST_OF_ONE}
            slow.answers_at_once(service)

    def test_beside_exports_that_nobody_reads(self, service: Service, listener: dict[str, Any]) -> None:
        asked = slow.request(service, "/api/user/export", listener["token"])
        with slow.crowd(service, asked, 150) as clients:
            assert Counter(slow.statuses(clients)) == {200: MOST_OF_ONE, 429: 150 - MOST_OF_ONE}
            slow.answers_at_once(service)

    @pytest.mark.parametrize(
        ("begun", "drop"),
        [
            (b"", b"G"),
            (b"GET /api/health HTTP/1.1\r\nX: ", b"a"),
            (JSON_POST + b"Content-Length: 500\r\n\r\n{", b" "),
            (JSON_POST + b"Transfer-Encoding: chunked\r\n\r\n1F4\r\n", b"a"),
            (JSON_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
            (b"GET /api/health HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"a"),
            (b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\nGET /api/health HTTP/1.1\r\nX: ", b"a"),
            (b"GET /api/health HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n", b"a"),
        ],
        ids=["line", "head", "body", "chunk", "size", "unread body", "second head", "long unread body"],
    )
    def test_beside_requests_that_drip_in(self, service: Service, begun: bytes, drop: bytes) -> None:
        with slow.crowd(service, begun, 140) as clients, slow.dripping(clients, drop):
            slow.answers_at_once(service)

    def test_beside_more_connections_than_there_may_be(self, service: Service) -> None:
        with slow.crowd(service, b"", 1500, window=4096):
            slow.answers_at_once(service)

    def test_beside_answers_that_nobody_takes(self, service: Service) -> None:
        with slow.crowd(service, slow.request(service, "/api/openapi.json") * 40, 140, window=4096):
            slow.answers_at_once(service)


class TestListeners:
    def test_a_hundred_who_read_steadily_hear_everything(self, service: Service) -> None:
        """Of a worker that has as few threads as any, and less of them than listeners."""
        plain = os.urandom(1024 * 1024)
        with ExitStack() as stack:
            clients = []
            for number in range(20):
                account = service.register(f"one-of-twenty-{number}@example.com")
                asked = slow.request(service, slow.opened(service, account, plain))
                clients += stack.enter_context(slow.crowd(service, asked, 5))
            assert all(body == plain for body in slow.heard(clients, 200_000))

    def test_six_connections_of_one_player_hear_everything(self, service: Service, path: str) -> None:
        with slow.crowd(service, slow.request(service, path), 6) as clients:
            assert all(body == LONG for body in slow.heard(clients, 4_000_000))

    def test_a_player_that_was_ended_goes_on_with_the_same_ticket(self, service: Service, path: str) -> None:
        with slow.connected(service) as client:
            client.sendall(slow.request(service, path))
            had = client.recv(5000).partition(b"\r\n\r\n")[2]
        rest = requests.get(service.url + path, headers={"Range": f"bytes={len(had)}-"}, timeout=60)
        assert rest.status_code == 206
        assert had + rest.content == LONG

    def test_who_hangs_up_gives_the_place_back(self, service: Service, path: str) -> None:
        def is_let_in() -> bool:
            answer = requests.get(service.url + path, headers={"Range": "bytes=0-99"}, timeout=60)
            return answer.status_code == 206

        for _ in range(3):
            # Some of these may find that who came before is still being given up.
            with slow.crowd(service, slow.request(service, path), 2 * MOST_OF_ONE) as clients:
                assert 200 in slow.statuses(clients)
                assert not is_let_in()
            eventually(is_let_in, "no place came free")

    def test_an_account_has_its_share_and_others_have_theirs(self, service: Service) -> None:
        hog = service.register("hog@example.com")
        slow.opened(service, hog, LONG)
        (file,) = service.call("GET", "/api/user/audio-files", hog["token"]).json()["audio_files"]
        with ExitStack() as stack:
            answered: Counter[int] = Counter()
            for _ in range(MOST_OF_ACCOUNT // 6 + 2):
                asked = slow.request(service, slow.ticket(service, hog, file["file_id"]))
                answered.update(slow.statuses(stack.enter_context(slow.crowd(service, asked, 6))))
            assert answered[200] == MOST_OF_ACCOUNT
            assert answered.keys() == {200, 429}
            other = service.register("another@example.com")
            theirs = slow.opened(service, other, LONG)
            assert requests.get(service.url + theirs, timeout=60).content == LONG
            slow.answers_at_once(service)

    def test_who_is_refused_is_told_when_to_come_back(self, service: Service, path: str) -> None:
        with slow.crowd(service, slow.request(service, path), MOST_OF_ONE) as clients:
            assert 200 in slow.statuses(clients)
            refused = requests.get(service.url + path, timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["Retry-After"]) > 0


class TestRequests:
    """What comes in pieces, or several at once, is the same request."""

    BODY = b'{"code": "of no letter, and a little longer than a piece may be"}'
    POST = JSON_POST.replace(b"login", b"verify-email")
    UNDERSTOOD = (400, "invalid_code")

    @pytest.mark.parametrize("size", [1, 7, 100])
    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_a_request_in_pieces_is_understood(self, service: Service, size: int, chunked: bool) -> None:
        if chunked:
            half = len(self.BODY) // 2
            parts = [self.BODY[:half], self.BODY[half:], b""]
            body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts)
            sent = self.POST + b"Transfer-Encoding: chunked\r\n\r\n" + body
        else:
            sent = self.POST + b"Content-Length: %d\r\n\r\n" % len(self.BODY) + self.BODY
        with slow.connected(service) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(sent), size):
                client.sendall(sent[start : start + size])
            assert self.answers(client, 1) == [self.UNDERSTOOD]

    def test_requests_that_come_together_are_answered_in_order(self, service: Service) -> None:
        sent = slow.request(service, "/api/health") + slow.request(service, "/nothing") * 2
        with slow.connected(service) as client:
            client.sendall(sent + slow.request(service, "/api/health"))
            assert [status for status, _ in self.answers(client, 4)] == [200, 404, 404, 200]

    def test_who_asks_whether_to_go_on_is_told_once(self, service: Service) -> None:
        head = self.POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(self.BODY)
        with slow.connected(service) as client:
            client.sendall(head)
            assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(self.BODY)
            assert self.answers(client, 1) == [self.UNDERSTOOD]

    def test_who_has_sent_all_and_closed_that_half_is_answered(self, service: Service) -> None:
        with slow.connected(service) as client:
            client.sendall(slow.request(service, "/api/health"))
            client.shutdown(socket.SHUT_WR)
            assert self.answers(client, 1) == [(200, "")]

    def answers(self, client: socket.socket, count: int) -> list[tuple[int, str]]:
        """Return status and code of so many answers of one connection."""
        peer, found = Peer(client), []
        for _ in range(count):
            head = peer.head()
            assert head is not None
            body = json.loads(b"".join(piece.data for piece in peer.pieces(head, until_close=False)))
            found.append((int(head.start.split(" ")[1]), body.get("code", "")))
        return found
