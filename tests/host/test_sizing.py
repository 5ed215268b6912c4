"""Workers and threads follow from cores and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from panzoto.config import Settings
from panzoto.host.sizing import Machine, Size, size_for, this_machine

SECRET = "f3Qk9-vTz1xRb7Lw2Ns8Hd4Jc6Gm0Yp5"


@pytest.mark.parametrize(
    ("machine", "size"),
    [
        (Machine(2, 512), Size(1, 32)),
        (Machine(2, 1024), Size(1, 32)),
        (Machine(2, 2048), Size(2, 34)),
        (Machine(8, 4096), Size(4, 56)),
        (Machine(8, 16384), Size(8, 128)),
        (Machine(256, 1024 * 1024), Size(64, 128)),
    ],
)
def test_a_worker_for_each_core_while_memory_lasts(machine: Machine, size: Size) -> None:
    assert size_for(machine, hash_mib=64, hashes_at_once=2) == size


def test_costlier_hashes_leave_room_for_fewer_workers() -> None:
    machine = Machine(8, 8192)
    assert size_for(machine, hash_mib=512, hashes_at_once=4).workers == 2


def test_a_chosen_number_of_workers_stays_and_the_threads_follow() -> None:
    assert size_for(Machine(2, 4096), hash_mib=64, hashes_at_once=2, workers=4) == Size(4, 56)


@pytest.mark.parametrize(
    ("cpu", "memory", "cores", "memory_mib"),
    [("150000 100000\n", "536870912\n", 2, 512), ("50000 100000\n", "max\n", 1, None)],
)
def test_a_container_counts_for_what_it_is_granted(
    tmp_path: Path, cpu: str, memory: str, cores: int, memory_mib: int | None
) -> None:
    here = this_machine(tmp_path)
    (tmp_path / "cpu.max").write_text(cpu)
    (tmp_path / "memory.max").write_text(memory)
    assert this_machine(tmp_path) == Machine(min(here.cores, cores), memory_mib or here.memory_mib)


def test_production_is_sized_and_what_is_set_wins() -> None:
    production = {"FLASK_ENV": "production", "SECRET_KEY": SECRET}
    sized = Settings.from_environment(production)
    expected = size_for(this_machine(), hash_mib=64, hashes_at_once=2)
    assert (sized.workers, sized.threads) == (expected.workers, expected.threads)
    chosen = Settings.from_environment({**production, "WEB_CONCURRENCY": "3", "THREADS": "7"})
    assert (chosen.workers, chosen.threads) == (3, 7)
