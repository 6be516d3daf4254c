"""Cores and memory, read from files of a made-up machine."""

import os

import pytest

from daso import machine


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return a function that writes files of the machine: eight cores by affinity, 9,000 kB of memory available."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    write({"proc/meminfo": "MemTotal: 16000 kB\nMemAvailable:    9000 kB\n"})
    return write


V2 = {"proc/self/cgroup": "0::/slurm/job_1/step_0\n"}
V1 = {"proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n"}
GROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        (V2 | {f"{GROUP}/slurm/job_1/step_0/cpu.max": "max 100000\n"}, 8),
        (V2 | {f"{GROUP}/slurm/job_1/step_0/cpu.max": "250000 100000\n"}, 3),  # 2.5 cores
        (V2 | {f"{GROUP}/slurm/job_1/cpu.max": "200000 100000\n"}, 2),  # limit of an ancestor
        (V2 | {f"{GROUP}/slurm/cpu.max": "300000 100000\n", f"{GROUP}/slurm/job_1/cpu.max": "50000 100000\n"}, 1),
        (V2 | {f"{GROUP}/cpu.max": "3200000 100000\n"}, 8),  # root of a container; above the affinity
        (V1 | {f"{GROUP}/cpu/cpu.cfs_quota_us": "-1\n", f"{GROUP}/cpu/cpu.cfs_period_us": "100000\n"}, 8),
        (V1 | {f"{GROUP}/cpu/cpu.cfs_quota_us": "400000\n", f"{GROUP}/cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ],
)
def test_cores_are_the_least_of_affinity_and_quotas(system, files, cores):
    system(files)
    assert machine.cores() == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_cores_follow_the_affinity_of_the_process():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def v2(group, limit, usage, stat="anon 1\ninactive_file 0\n"):
    return {
        f"{GROUP}/{group}memory.{name}": text
        for name, text in zip(("max", "current", "stat"), (limit, usage, stat), strict=True)
    }


def v1(limit, usage, inactive):
    values = {
        "limit_in_bytes": limit,
        "usage_in_bytes": usage,
        "stat": f"inactive_file 7\ntotal_inactive_file {inactive}\n",
    }
    return {f"{GROUP}/memory/memory.{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 9_216_000),
        (V2 | v2("slurm/job_1/step_0/", "max", "5000"), 9_216_000),
        (V2 | v2("slurm/job_1/step_0/", "8000", "5000"), 3000),
        (
            V2 | v2("slurm/job_1/step_0/", "8000", "5000", "anon 1\ninactive_file 1000\n"),
            4000,
        ),  # cached files can be dropped
        (
            V2 | v2("slurm/job_1/", "7000", "5000") | v2("slurm/job_1/step_0/", "8000", "5000"),
            2000,
        ),  # limit of the ancestor
        (V2 | v2("", "8000", "9000"), 0),
        (V2 | v2("", "99000000", "1000"), 9_216_000),
        (V1 | v1(9223372036854771712, 5000, 0), 9_216_000),  # no limit
        (V1 | v1(8000, 5000, 500), 3500),
    ],
)
def test_free_memory_is_the_least_of_machine_and_groups(system, files, free):
    system(files)
    assert machine.free_memory() == free


def test_hybrid_hierarchy_reads_version_2_below_unified(system):
    """Version 2 has its own folder beside the controllers of version 1."""
    system(
        V1
        | {
            "proc/self/cgroup": "0::/a\n",
            f"{GROUP}/unified/a/cpu.max": "100000 100000\n",
            f"{GROUP}/a/cpu.max": "5 1\n",
        }
    )
    assert machine.cores() == 1


def test_free_memory_without_proc_is_all_memory(tmp_path, monkeypatch):
    """10 pages of 4,096 bytes."""
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 10}.__getitem__)
    assert machine.free_memory() == 40_960
