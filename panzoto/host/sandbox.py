"""Runs a program that reads what strangers wrote, where it reaches its own memory and two pipes alone.

    python -I -B sandbox.py PROGRAM [SECONDS]

loads the file PROGRAM with all that it imports, gives up what the kernel lets a process give up, and only
then calls the program's `main`, which so far has read nothing.  What holds it, from the weakest to the
strongest: limits of memory, processes, files and descriptors; no new privileges; and on Linux a seccomp
filter, an allow-list of system calls and of their arguments.  Nothing that is refused ends the program: the
call fails with EPERM.  A call of another architecture ends it.

The first byte on standard output tells how far that went: `FILTERED` or `LIMITED`.

This file runs outside of its package, in a process that knows nothing of the service, so it imports only the
standard library.  Sources: seccomp(2), prctl(2), the kernel's tables of system calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILTERED, LIMITED = b"+", b"-"
# What a program may take beyond what it has when it is loaded.
MEMORY_BYTES = 224 * 1024 * 1024
# Processor time at most, where no other is told. A parent that can set the limit of a child allows less
# (`panzoto.media.confined`).
CPU_SECONDS = 60
# Standard input, output and error, and no other.
DESCRIPTORS = 3

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2

# Codes of classic BPF (linux/bpf_common.h), and where a filter finds what (struct seccomp_data).
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
KILL, REFUSE, ALLOW = 0x8000_0000, 0x0005_0000 | 1, 0x7FFF_0000
# The numbers of x32, a second way to make the calls of x86-64, begin here; nobody else has so many.
X32 = 0x4000_0000
WHOLE = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call, by its place, and the values that it may have under `mask`.

    The lower half of it is looked at; in the upper one none of these calls has anything.
    """

    place: int
    mask: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a filter knows a machine by, and its numbers of the calls in `CALLS`, in that order."""

    audit: int
    numbers: tuple[int, ...]


PROT_EXEC, MAP_ANONYMOUS, MADV_DONTNEED = 4, 0x20, 4
# Waiting and waking inside this process; those that hand on a priority would tell of other processes.
FUTEXES = (0x80, 0x81, 0x89, 0x8A)
FUTEX_CLOCK_REALTIME = 0x100
# What Python and FFmpeg need to read, compute and answer; all other calls are refused.
CALLS: dict[str, tuple[Argument, ...]] = {
    "read": (Argument(0, WHOLE, (0,)),),
    "write": (Argument(0, WHOLE, (1, 2)),),
    "brk": (),
    # Memory of its own that is no code.
    "mmap": (Argument(2, PROT_EXEC, (0,)), Argument(3, MAP_ANONYMOUS, (MAP_ANONYMOUS,))),
    "munmap": (),
    "mremap": (),
    "mprotect": (Argument(2, PROT_EXEC, (0,)),),
    # With others of its advice root takes pages from the machine.
    "madvise": (Argument(2, WHOLE, (MADV_DONTNEED,)),),
    "futex": (Argument(1, WHOLE & ~FUTEX_CLOCK_REALTIME, FUTEXES),),
    # The eight common clocks; the number of another one can name another process.
    "clock_gettime": (Argument(0, WHOLE & ~7, (0,)),),
    "rt_sigreturn": (),
    "restart_syscall": (),
    "exit": (),
    "exit_group": (),
}
ARCHITECTURES = {
    "x86_64": Architecture(0xC000_003E, (0, 1, 12, 9, 11, 25, 10, 28, 202, 228, 15, 219, 60, 231)),
    "aarch64": Architecture(0xC000_00B7, (63, 64, 214, 222, 215, 216, 226, 233, 98, 113, 139, 128, 93, 94)),
}


def filter_program(machine: str) -> bytes:
    """Return the filter for `machine` as an array of struct sock_filter. Raises `KeyError`."""
    architecture = ARCHITECTURES[machine]
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, architecture.audit, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, X32, 0, 1),
        _step(RETURN, REFUSE),
    ]
    for number, wanted in zip(architecture.numbers, CALLS.values(), strict=True):
        allowed = [step for one in wanted for step in _examined(one)] + [_step(RETURN, ALLOW)]
        steps += [_step(EQUAL, number, 0, len(allowed)), *allowed]
    return b"".join([*steps, _step(RETURN, REFUSE)])


def _examined(argument: Argument) -> list[bytes]:
    """Steps that go on behind themselves when the argument is as it may be, and else refuse."""
    count = len(argument.values)
    # Both architectures are little-endian, so the lower half comes first.
    load = [_step(LOAD, ARGUMENTS + 8 * argument.place), _step(AND, argument.mask)]
    return [
        *load,
        *(_step(EQUAL, value, count - place, 0) for place, value in enumerate(argument.values)),
        _step(RETURN, REFUSE),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def hide_memory() -> None:
    """Close `/proc/PID/environ`, `mem` and the like of this process to others of its user, and to debuggers.

    Linux alone has that. A fork inherits it, a program that is executed does not.
    """
    _prctl(PR_SET_DUMPABLE, 0)


def _prctl(option: int, *values: object) -> bool:
    """Tell whether the kernel did it."""
    if sys.platform != "linux":
        return False
    # The kernel insists on zeros in the places that an option does not use.
    given = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in (*values, 0, 0, 0, 0)]
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, *given[:4]) == 0)


def confine(cpu_seconds: int) -> bool:
    """Give up what this process does not need; return whether the kernel filters its calls from now on."""
    _be_first_to_be_killed()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    hide_memory()
    os.closerange(DESCRIPTORS, max(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    _limit(cpu_seconds)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    return _filter()


def _be_first_to_be_killed() -> None:
    # Some containers have no such file; then the kernel chooses by size.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(cpu_seconds: int) -> None:
    limits = {
        "RLIMIT_AS": _address_space() + MEMORY_BYTES,
        "RLIMIT_NPROC": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_NOFILE": DESCRIPTORS,
    }
    if not hasattr(resource, "prlimit"):
        limits["RLIMIT_CPU"] = cpu_seconds
    for name, most in limits.items():
        # Some systems do not have all of these.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


def _address_space() -> int:
    """Bytes of addresses in use; what is loaded takes more of them than of memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1024**3


def _filter() -> bool:
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in ARCHITECTURES or sys.maxsize < 2**32:
        return False
    steps = filter_program(machine)
    program = _Program(len(steps) // 8, steps)
    return _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def _loaded(file: str) -> Callable[[], None]:
    """Return `main` of the program in `file`."""
    spec = importlib.util.spec_from_file_location("confined_program", file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[], None] = module.main
    return main


def run(file: str, cpu_seconds: str = str(CPU_SECONDS)) -> None:
    """Load the program in `file`, confine this process, say how far, and call its `main`."""
    main = _loaded(file)
    # What is loaded stays to the end, so no collection needs to look through it again.
    gc.freeze()
    sys.stdout.buffer.write(FILTERED if confine(int(cpu_seconds)) else LIMITED)
    sys.stdout.buffer.flush()
    main()
    sys.stdout.buffer.flush()
    # Python's own way out would ask for more than is granted.
    os._exit(0)


if __name__ == "__main__":
    run(*sys.argv[1:])
