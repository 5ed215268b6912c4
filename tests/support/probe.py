"""A program in the place of the one that reads clips, which tries to reach all else and tells what it did.

Its input is JSON: the number of the parent's process, and a folder in which anybody may write.  Its output
is JSON too.  With the sandbox and without it does the same.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

X86 = os.uname().machine == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
NUMBERS = (*range(600), 1000, 1024, 4095, 65535, 2**30 - 1)
# Linux takes uprobe and uretprobe before any filter, and kills whoever is not one of its own trampolines.
TRAMPOLINES = {335, 336} if X86 else set()
X32 = tuple(2**30 + number for number in (*range(560), 4095))
MARK = "reached"


def call(number: int, *values: object) -> int:
    """Return what a call returns, or minus its error number."""
    ctypes.set_errno(0)
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    result: int = LIBC.syscall(ctypes.c_long(number), *given)
    return -ctypes.get_errno() if result == -1 else result


def sweep(known: set[int]) -> dict[int, list[int]]:
    """Return for each number what its calls gave: without arguments, and with those that many calls take.

    `known` are the calls that are granted: with these arguments they would only spoil the probe.
    """
    path, memory = ctypes.create_string_buffer(b"/etc/passwd"), ctypes.create_string_buffer(4096)
    found = {}
    for number in NUMBERS + X32:
        if number in known | TRAMPOLINES:
            continue
        with_path = (path, 0, 0, 0)
        at_path = (-100, path, 0, 0, 0, 0)
        on_memory = (1, memory, 0, 0, 0, 0)
        found[number] = [call(number, *values) for values in ((0,) * 6, with_path, at_path, on_memory)]
    return found


def attempts(parent: int, folder: Path) -> dict[str, Callable[[], object]]:  # noqa: C901 - a list
    """Everything that would be an escape, by its name; each raises OSError when it is refused."""

    def raw(number: int, *values: object) -> Callable[[], object]:
        def attempt() -> int:
            result = call(number, *values)
            if result < 0:
                raise OSError(-result, os.strerror(-result))
            return result

        return attempt

    def forked() -> object:
        child = os.fork()
        if child == 0:
            (folder / "forked").write_text(MARK)
            os._exit(0)
        return os.waitpid(child, 0)

    def cloned() -> int:
        child = call(56 if X86 else 220, int(signal.SIGCHLD), 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        if child < 0:
            raise OSError(-child, os.strerror(-child))
        return os.waitpid(child, 0)[0]

    def clone3() -> int:
        arguments = struct.pack("<11Q", 0, 0, 0, 0, int(signal.SIGCHLD), 0, 0, 0, 0, 0, 0)
        child = call(435, ctypes.create_string_buffer(arguments), len(arguments))
        if child == 0:
            os._exit(0)
        if child < 0:
            raise OSError(-child, os.strerror(-child))
        return os.waitpid(child, 0)[0]

    def executable_memory() -> object:
        return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

    buffer = ctypes.create_string_buffer(64)
    zeros = ctypes.create_string_buffer(256)
    # The processor time of the parent (clock_getcpuclockid(3)).
    clock = ~parent << 3 | 2
    owned = ctypes.c_uint32(parent)
    return {
        "read a file": lambda: Path("/etc/passwd").read_text(),
        "write a file": lambda: (folder / "written").write_text(MARK),
        "list a folder": lambda: list(Path("/").iterdir()),
        "look at a file": lambda: Path("/etc/passwd").stat(),
        "look for a file": lambda: os.access("/etc/passwd", os.F_OK) or _refused(),
        "make a folder": (folder / "made").mkdir,
        "make a link": lambda: (folder / "link").symlink_to("/"),
        "change the folder": lambda: os.chdir("/tmp"),
        "the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "the parent's memory": lambda: Path(f"/proc/{parent}/maps").read_bytes(),
        "the parent's name": lambda: Path(f"/proc/{parent}/comm").read_text(),
        "openat2": raw(437, -100, ctypes.create_string_buffer(b"/etc/passwd"), zeros, 24),
        "a socket": lambda: socket.socket(socket.AF_INET),
        "a local socket": lambda: socket.socket(socket.AF_UNIX),
        "two sockets": socket.socketpair,
        "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
        "a pipe": os.pipe,
        "a second descriptor": lambda: os.dup(0),
        "fork": forked,
        "clone": cloned,
        "clone3": clone3,
        "ptrace": raw(101 if X86 else 117, 0x4206, parent, 0, 0),
        "the parent's memory at once": raw(
            310 if X86 else 270, parent, struct_of(buffer), 1, struct_of(buffer), 1, 0
        ),
        "a signal of nothing": lambda: os.kill(parent, 0),
        "a signal to itself": lambda: os.kill(os.getpid(), signal.SIGCHLD),
        "a descriptor of the parent": raw(434, parent, 0),
        "the parent's number": raw(110 if X86 else 173),
        "its own number": raw(39 if X86 else 172),
        "namespaces": raw(272 if X86 else 97, 0x10000000),
        "a mount": raw(165 if X86 else 40, zeros, zeros, zeros, 0, 0),
        "io_uring": raw(425, 4, zeros),
        "bpf": raw(321 if X86 else 280, 0, zeros, 72),
        "keys": raw(250 if X86 else 219, 0, -3, 1),
        "memory with a name": raw(319 if X86 else 279, zeros, 0),
        "faults": raw(323 if X86 else 282, 1),
        "counters": raw(298 if X86 else 241, zeros, 0, -1, -1, 0),
        "shared memory": raw(29 if X86 else 194, 0, 4096, 0o1600),
        "memory that can run": executable_memory,
        "the clock of the parent": raw(228 if X86 else 113, clock, zeros),
        "a lock of the parent": raw(202 if X86 else 98, ctypes.byref(owned), 8 | 128, 0, 0, 0, 0),
        "privileges": raw(157 if X86 else 167, 23, 0, 0, 0, 0),
        "limits": raw(302 if X86 else 261, parent, 7, 0, zeros),
        "another user": lambda: os.setuid(os.getuid()),
        "the machine's name": os.uname,
        "scheduling": lambda: os.sched_getaffinity(parent),
        "priority": lambda: os.nice(0),
    }


def struct_of(buffer: ctypes.Array[ctypes.c_char]) -> ctypes.Array[ctypes.c_char]:
    """An iovec that leads to `buffer`."""
    return ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(buffer), len(buffer)))


def _refused() -> None:
    raise OSError(errno.EPERM, "refused")


def outcome(attempt: Callable[[], object]) -> str:
    """The error's name, or that there was none."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return MARK


def main() -> None:
    """Try everything, and where nothing can be broken by it all numbers as well."""
    asked = json.loads(sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big")))
    reached = {name: outcome(one) for name, one in attempts(asked["parent"], Path(asked["folder"])).items()}
    answer = {"reached": reached, "sweep": sweep(set(asked["known"])) if asked["known"] else {}}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
