"""What reads strangers' clips reaches nothing, and answers what it would answer without a sandbox."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from panzoto.errors import Busy, ClipsNotJoinable
from panzoto.host import sandbox
from panzoto.media import remux
from panzoto.media.confined import Confined, ProgramFailed
from panzoto.media.remux import Remux
from tests.support import crafted, probe
from tests.support.forked_commands import forked
from tests.support.processes import opened
from tests.support.sounds import FAMILIES, Held, families

NOBODY = 65534
PROBE = Path(probe.__file__)
HERE = os.uname().machine
# Root can become another user; another user is one already.
USERS = [None, NOBODY] if os.geteuid() == 0 else [None]
AARCH64, X86_64, I386, ARM = 0xC00000B7, 0xC000003E, 0x40000003, 0x40000028
NUMBERS = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "mmap": 9,
        "mprotect": 10,
        "munmap": 11,
        "brk": 12,
        "rt_sigreturn": 15,
        "mremap": 25,
        "madvise": 28,
        "exit": 60,
        "futex": 202,
        "restart_syscall": 219,
        "clock_gettime": 228,
        "exit_group": 231,
    },
    "aarch64": {
        "read": 63,
        "write": 64,
        "exit": 93,
        "exit_group": 94,
        "futex": 98,
        "clock_gettime": 113,
        "restart_syscall": 128,
        "rt_sigreturn": 139,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
    },
}
AUDIT = {"x86_64": X86_64, "aarch64": AARCH64}


def interpreted(program: bytes, number: int, audit: int, *arguments: int) -> int:
    """Run a filter as the kernel does (Linux, networking/filter.rst), and return its verdict."""
    given = [*arguments, *(0,) * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit, 0, *(value % 2**64 for value in given))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", NUMBERS)
class TestFilter:
    # For each call arguments that are granted, and such that are not.
    GOOD: ClassVar[dict[str, list[tuple[int, ...]]]] = {
        "read": [(0, 1, 1)],
        "write": [(1, 1, 1), (2, 1, 1)],
        "mmap": [(0, 4096, 3, 0x22, -1, 0), (0, 4096, 0, 0x22, 2**32 - 1, 0)],
        "mprotect": [(1, 4096, 3), (1, 4096, 0)],
        "madvise": [(1, 4096, 4)],
        "futex": [(1, op | clock, 1) for op in (0x80, 0x81, 0x89, 0x8A) for clock in (0, 0x100)],
        "clock_gettime": [(clock, 1) for clock in range(8)],
    }
    BAD: ClassVar[dict[str, list[tuple[int, ...]]]] = {
        "read": [(1, 1, 1), (3, 1, 1), (-1, 1, 1)],
        "write": [(0, 1, 1), (3, 1, 1)],
        "mmap": [(0, 4096, 7, 0x22, -1), (0, 4096, 5, 0x22, -1), (0, 4096, 3, 2, 0), (0, 4096, 1, 1, 0)],
        "mprotect": [(1, 4096, 4), (1, 4096, 7)],
        "madvise": [(1, 4096, advice) for advice in (0, 1, 3, 8, 9, 10, 12, 14, 100, 101)],
        "futex": [(1, op | 0x80, 1) for op in (2, 3, 4, 5, 6, 7, 8, 11, 12, 13)] + [(1, 0, 1), (1, 1, 1)],
        "clock_gettime": [(~1000 << 3 | kind, 1) for kind in range(8)] + [(8, 1), (11, 1)],
    }

    def test_what_is_not_named_is_refused(self, machine: str) -> None:
        program, granted = sandbox.filter_program(machine), set(NUMBERS[machine].values())
        refused = {
            number
            for number in (*range(2000), 2**16, 2**30 - 1, *range(2**30, 2**30 + 600), 2**31, 2**32 - 1)
            if interpreted(program, number, AUDIT[machine], *((0x22, 0x81, 0, 0x20, 0, 0))) == sandbox.REFUSE
        }
        assert refused >= {*range(2000), *range(2**30, 2**30 + 600), 2**31, 2**32 - 1} - granted

    def test_what_is_granted_is_granted_for_its_arguments_alone(self, machine: str) -> None:
        program = sandbox.filter_program(machine)
        for name, number in NUMBERS[machine].items():
            for good in self.GOOD.get(name, [(), (-1,) * 6]):
                assert interpreted(program, number, AUDIT[machine], *good) == sandbox.ALLOW, (name, good)
            for bad in self.BAD.get(name, []):
                assert interpreted(program, number, AUDIT[machine], *bad) == sandbox.REFUSE, (name, bad)

    def test_x32_is_refused(self, machine: str) -> None:
        program = sandbox.filter_program(machine)
        for number in NUMBERS[machine].values():
            assert interpreted(program, number | 2**30, AUDIT[machine], 1) == sandbox.REFUSE

    def test_calls_of_another_architecture_end_the_program(self, machine: str) -> None:
        program = sandbox.filter_program(machine)
        for audit in {AARCH64, X86_64, I386, ARM, 0} - {AUDIT[machine]}:
            assert interpreted(program, 1, audit, 1) == sandbox.KILL


@pytest.fixture(params=USERS, ids=lambda user: f"user {os.geteuid() if user is None else user}")
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The probe, which becomes the user while it is loaded."""
    become = "" if request.param is None else f"os.setgroups([])\nos.setuid({request.param})\n"
    made = tmp_path / "probe.py"
    made.write_text(PROBE.read_text() + become)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "writable"
    made.mkdir()
    for one in (tmp_path, made):
        one.chmod(0o777)
    return made


def question(folder: Path, known: list[int]) -> bytes:
    asked = json.dumps({"parent": os.getpid(), "folder": str(folder), "known": known}).encode()
    return len(asked).to_bytes(8, "big") + asked


def read_all(running: Confined) -> bytes:
    read = b""
    try:
        while True:
            read += running.read(1)
    except ProgramFailed:
        return read


class TestProbe:
    def test_it_reaches_nothing(self, program: Path, folder: Path) -> None:
        with Confined(program) as running:
            assert running.send(question(folder, list(NUMBERS[HERE].values())))
            running.end_input()
            answer = json.loads(read_all(running))
        reached = {name for name, outcome in answer["reached"].items() if outcome != "EPERM"}
        assert reached == set()
        tried = {int(number) for number in answer["sweep"]}
        assert len(tried) > 1000
        assert tried >= {*range(500), *range(2**30, 2**30 + 500)} - set(NUMBERS[HERE].values()) - {335, 336}
        assert {number for number, gave in answer["sweep"].items() if set(gave) != {-1}} == set()
        assert list(folder.iterdir()) == []

    def test_without_the_sandbox_it_would(self, folder: Path) -> None:
        run = subprocess.run(
            [sys.executable, "-I", PROBE], input=question(folder, []), stdout=subprocess.PIPE, check=True
        )
        answer = json.loads(run.stdout)
        reached = {name for name, outcome in answer["reached"].items() if outcome == probe.MARK}
        assert reached >= {
            "read a file",
            "write a file",
            "list a folder",
            "the parent's name",
            "a socket",
            "a datagram",
            "a pipe",
            "fork",
            "clone",
            "a signal of nothing",
            "the parent's number",
            "memory with a name",
            "memory that can run",
            "the clock of the parent",
            "limits",
        }
        assert {one.name for one in folder.iterdir()} >= {"written", "forked", "made"}


WAITS = "import os, sys\ndef main():\n    os.write(1, b'x')\n    sys.stdin.buffer.read()\n"


STARTS = """
import sys, time
from pathlib import Path
from panzoto.media.confined import Confined
with Confined(Path(sys.argv[1])) as running:
    running.read(1)
    print(running.pid, flush=True)
    time.sleep(600)
"""


class TestLimits:
    @pytest.fixture
    def running(self, tmp_path: Path) -> Iterator[Confined]:
        program = tmp_path / "waits.py"
        program.write_text(WAITS)
        with Confined(program) as running:
            assert running.read(1) == b"x"
            yield running

    def proc(self, running: Confined, name: str) -> str:
        return Path(f"/proc/{running.pid}/{name}").read_text()

    def limits(self, running: Confined) -> dict[str, list[str]]:
        lines = self.proc(running, "limits").splitlines()[1:]
        return {line[:26].strip(): line[26:].split()[:2] for line in lines}

    def test_the_kernel_holds_it(self, running: Confined) -> None:
        status = dict(line.split(":\t", 1) for line in self.proc(running, "status").splitlines())
        assert (status["Seccomp"], status["NoNewPrivs"], status["Threads"]) == ("2", "1", "1")
        limits = self.limits(running)
        for name in ("Max processes", "Max file size", "Max core file size", "Max locked memory"):
            assert limits[name] == ["0", "0"], name
        assert limits["Max open files"] == ["3", "3"]
        assert 0 < int(limits["Max address space"][1]) < 512 * 1024 * 1024
        assert self.proc(running, "oom_score_adj").strip() == "1000"

    def test_it_has_no_environment_and_three_descriptors(self, running: Confined) -> None:
        assert self.proc(running, "environ") == ""
        held = opened(running.pid)
        assert set(held) == {0, 1, 2}
        assert held[0].startswith("pipe:")
        assert held[1].startswith("pipe:")
        assert held[2] == "/dev/null"

    def test_it_may_compute_the_longer_the_more_it_reads(self, running: Confined) -> None:
        before = int(self.limits(running)["Max cpu time"][0])
        assert running.send(bytes(2**21))
        assert int(self.limits(running)["Max cpu time"][0]) > before
        assert running.send(bytes(2**26))
        assert self.limits(running)["Max cpu time"] == [
            str(sandbox.CPU_SECONDS),
            str(sandbox.CPU_SECONDS + 1),
        ]

    def test_it_ends_with_its_parent(self, tmp_path: Path) -> None:
        program = tmp_path / "waits.py"
        program.write_text(WAITS)
        parent = subprocess.Popen(
            [
                sys.executable,
                "-c",
                STARTS,
                str(program),
            ],
            stdout=subprocess.PIPE,
            cwd=Path(remux.__file__).parents[2],
        )
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        parent.stdout.close()
        # It is readable once the process has ended.
        assert select.select([child], [], [], 60)[0] == [child]
        os.close(child)


HIDDEN = """
import ctypes, os, sys
from panzoto.host import sandbox
if os.geteuid() == 0:
    os.setgroups([]); os.setuid({nobody})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
def readable():
    child = os.fork()
    if child == 0:
        # A fork of what is hidden is so too, and may look at others all the same.
        try: open(f"/proc/{{os.getppid()}}/environ").read(); os._exit(0)
        except PermissionError: os._exit(1)
    return os.waitpid(child, 0)[1] == 0
print(readable(), flush=True)
sandbox.hide_memory()
print(readable(), flush=True)
"""


def test_the_environment_of_the_service_is_closed_to_others_of_its_user() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HIDDEN.format(nobody=NOBODY)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(remux.__file__).parents[2],
    )
    assert run.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answer_is_the_same_with_and_without_it(name: str) -> None:
    sent = b"".join(len(clip).to_bytes(8, "big") + clip for clip in families()[name])
    open_air = "import sys; sys.path.insert(0, sys.argv[1]); import demuxing; demuxing.main()"
    folder = str(remux.PROGRAM.parent)
    # Standard output must be a pipe: no file may grow.
    bare = subprocess.run(
        [sys.executable, "-c", open_air, folder], input=sent, stdout=subprocess.PIPE, check=True
    )
    held = subprocess.run(
        [sys.executable, "-I", "-B", sandbox.__file__, str(remux.PROGRAM)],
        input=sent,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert held.stdout == sandbox.FILTERED + bare.stdout
    assert len(bare.stdout) > 20


def test_where_nothing_is_filtered_the_log_says_so_once(tmp_path: Path) -> None:
    unfiltered = tmp_path / "unfiltered.py"
    # As if the sandbox had said that it could not: its byte comes first, and here from the program itself.
    unfiltered.write_text("import os\nos.write(1, b'-')\ndef main(): os.write(1, b'.')\n")
    asking = (
        "import logging; from pathlib import Path; from panzoto.media.confined import Confined\n"
        "logging.basicConfig(format='%(message)s')\n"
        "for _ in range(2):\n"
        f"    with Confined(Path({str(unfiltered)!r})) as c: c.read(1)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", asking],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(remux.__file__).parents[2],
    )
    assert run.stderr.splitlines() == ["sandbox_without_filter"]


def numbers(**changed: Any) -> str:
    told = {"template": 4, "timescale": 8000, "frames": 1, "runs": 1, "chunks": 1, **changed}
    return json.dumps(told)


BOX = "(8).to_bytes(4, 'big')"
GOOD_TABLES = (array("I", [6]).tobytes() + array("I", [1, 160]).tobytes()).hex()
CHUNK = array("Q", [0, 0, 6, 1]).tobytes().hex()
FOREIGN = array("Q", [1, 0, 6, 1]).tobytes().hex()
BEYOND = array("Q", [0, 10**6, 6, 1]).tobytes().hex()
MANY_TABLES = crafted.box(b"ftyp", b"isom") + crafted.box(
    b"moov",
    crafted.box(b"trak", crafted.box(b"mdia", crafted.box(b"minf", crafted.box(b"stbl") * 1000))),
)
ENDLESS = bytes(4) + b"moov"
SPOKEN: dict[str, tuple[str, str]] = {
    "nothing": ("", ""),
    "no number": ("[]\n", ""),
    "a line without an end": ("x" * 100_000, ""),
    "a clip that was never sent": ('{"why": "unreadable", "refused": 7}\n', ""),
    "a clip before the first": ('{"why": "unreadable", "refused": -7}\n', ""),
    "deep brackets": ("[" * 900 + "\n", ""),
    "a number without an end": ('{"template": 1e999}\n', ""),
    "too many frames": (numbers(frames=2**40) + "\n", ""),
    "fewer than none": (numbers(frames=-1) + "\n", ""),
    "too many runs": (numbers(runs=2**28) + "\n", "00" * 64),
    "too many chunks": (numbers(chunks=10**6) + "\n", "00" * 4 + GOOD_TABLES),
    "a template too large": (numbers(template=2**30) + "\n", ""),
    "no timescale": (numbers(timescale=0) + "\n", "00" * 4 + GOOD_TABLES + CHUNK),
    "another's clip": (numbers() + "\n", "00" * 4 + GOOD_TABLES + FOREIGN),
    "more of the clip than there is": (numbers() + "\n", "00" * 4 + GOOD_TABLES + BEYOND),
    "a template of nothing": (numbers() + "\n", "00" * 4 + GOOD_TABLES + CHUNK),
    "a box without an end": (numbers(template=8) + "\n", ENDLESS.hex() + GOOD_TABLES + CHUNK),
    "a thousand tables": (
        numbers(template=len(MANY_TABLES)) + "\n",
        MANY_TABLES.hex() + GOOD_TABLES + CHUNK,
    ),
    "half an answer": (numbers() + "\n", "00" * 4),
}


class TestTakenOver:
    """Somebody else answers in the place of the program."""

    @pytest.mark.parametrize("name", SPOKEN)
    def test_it_is_not_believed(self, tmp_path: Path, name: str) -> None:
        line, rest = SPOKEN[name]
        impostor = tmp_path / "impostor.py"
        impostor.write_text(
            f"import sys\ndef main():\n    sys.stdin.buffer.read()\n"
            f"    sys.stdout.buffer.write({line!r}.encode() + bytes.fromhex({rest!r}))\n"
        )
        with Remux(impostor) as joiner:
            joiner.add(Held(bytes(1000)))
            with pytest.raises(ClipsNotJoinable) as refused:
                joiner.finish()
        assert refused.value.clip is None

    def test_it_cannot_talk_without_an_end(self, tmp_path: Path) -> None:
        impostor = tmp_path / "impostor.py"
        impostor.write_text("import os\ndef main():\n    while True: os.write(1, bytes(10**6))\n")
        with Remux(impostor) as joiner:
            joiner.add(Held(bytes(1000)))
            with pytest.raises(ClipsNotJoinable):
                joiner.finish()

    def test_it_cannot_keep_anybody_waiting(self, tmp_path: Path) -> None:
        silent = tmp_path / "silent.py"
        silent.write_text(
            "import threading\ndef main(): threading.Lock().acquire(); threading.Lock().acquire()\n"
        )
        silent.write_text(
            "import threading\nlock = threading.Lock()\ndef main(): lock.acquire(), lock.acquire()\n"
        )
        with Confined(silent, seconds=2.0) as running, pytest.raises(Busy):
            running.read(1)
        with Confined(silent, seconds=2.0) as running, pytest.raises(Busy):
            running.send(bytes(10**7))

    def test_what_memory_was_short_for_may_come_again(self, tmp_path: Path) -> None:
        program = tmp_path / "waits.py"
        program.write_text(WAITS)
        with Confined(program) as running:
            assert running.read(1) == b"x"
            os.kill(running.pid, signal.SIGKILL)
            with pytest.raises(Busy):
                running.read(1)


# What grows is the process that joins, and no more than by this.
MOST_MIB = 64.0
JOINED = {
    "a sample entry of 60 MB",
    "a cover of 60 MB",
    "a million tags",
    "15 million durations",
    "two million frames and half a million durations",
    "fifty thousand chunks that jitter",
}
TOO_LONG = {"two million frames that jitter"}


@pytest.mark.parametrize("name", crafted.CONTAINERS)
def test_no_container_costs_more_than_it_is_worth(tmp_path: Path, name: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(crafted.CONTAINERS[name]())
    run = forked().run_module({}, "tests.support.measured_join", str(clip))
    clip.unlink()
    assert run.returncode == 0, run.stderr
    grown, outcome = run.stdout.split(maxsplit=1)
    assert float(grown) < MOST_MIB
    expected = (
        "joined" if name in JOINED else "sitting_too_long" if name in TOO_LONG else "clips_not_joinable"
    )
    assert outcome.startswith(expected)
