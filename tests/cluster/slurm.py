"""Start a real Slurm of one node in a folder, run a command on it, and stop it.

    python tests/cluster/slurm.py sinfo        # start it, run a command on it, stop it

Only Debian's packages are written outside the folder, if they are missing and the user is root. The GPUs are device
files of any Linux, which Slurm counts and allocates like GPUs.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PACKAGES = ("slurmctld", "slurmd", "slurm-client")
NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
GPUS = ("/dev/null", "/dev/zero")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={control}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} MaxTime=INFINITE PriorityTier=2 State=UP
"""
# The executor removes SLURM_CONF from the environment of a job, so this `srun` sets it.
SRUN = """\
#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {srun} "$@"
"""


class UnavailableError(Exception):
    """Slurm is missing and cannot be installed or started; the message gives the reason."""


def install():
    """Install Slurm's programs if they are missing; raises UnavailableError if they cannot be installed."""
    if not sys.platform.startswith("linux"):
        raise UnavailableError("Slurm's node daemon requires Linux")
    if not _missing():
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(
            f"{', '.join(_missing())} not found, and only root can apt-get install {' '.join(PACKAGES)}"
        )
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
    command = ["apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES]
    process = subprocess.run(command, check=False, **quiet)
    if process.returncode:  # the package lists may be old or missing
        subprocess.run(["apt-get", "update", "-q"], check=False, **quiet)
        process = subprocess.run(command, check=False, **quiet)
    if process.returncode or _missing():
        raise UnavailableError(f"{' '.join(command)}: {(process.stderr or process.stdout).strip().splitlines()[-1]}")


def _missing():
    return [name for name in NEEDED if not shutil.which(name)]


@contextlib.contextmanager
def cluster(folder, cores=2, gpus=2):
    """Start a node with `cores` and fake GPUs; yield the environment variables with which `sbatch` finds it.

    Raises UnavailableError if it does not start. At the end, its jobs, daemons and all their processes are killed.
    """
    install()
    folder = Path(folder).resolve()
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    _configure(folder, cores, gpus)
    environment = {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf"}
    environment["PATH"] = f"{folder}/bin{os.pathsep}{environment['PATH']}"
    started = []
    try:
        for daemon in ("slurmctld", "slurmd"):
            with (folder / f"{daemon}.out").open("w") as out:
                command = [shutil.which(daemon), "-D", "-f", f"{folder}/slurm.conf"]
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
        _wait_until_idle(folder, started, environment)
        yield environment
    finally:
        _stop(started, environment, folder)


def _configure(folder, cores, gpus):
    host = socket.gethostname().partition(".")[0]
    control, node = _free_ports(2)
    memory = psutil.virtual_memory().total // 2**20 * 9 // 10
    values = {"user": getpass.getuser(), "host": host, "control": control, "node": node, "folder": folder}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(cores=cores, gpus=gpus, memory=memory, **values))
    devices = "".join(f"Name=gpu File={device}\n" for device in GPUS[:gpus])
    (folder / "gres.conf").write_text(f"AutoDetect=off\n{devices}")
    (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    srun = folder / "bin" / "srun"
    srun.write_text(SRUN.format(folder=folder, srun=shutil.which("srun")))
    srun.chmod(0o755)


def _free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_until_idle(folder, started, environment, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        process = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False
        )
        if process.stdout.strip() == "idle":
            return
        if any(process.poll() is not None for process in started):
            break
        time.sleep(0.2)
    output = "".join((folder / f"{name}.out").read_text()[-500:] for name in ("slurmctld", "slurmd"))
    raise UnavailableError(f"Slurm does not start: {' '.join(output.split())}")


def _stop(started, environment, folder):
    """Cancel the jobs, stop the daemons, then kill every process of this cluster: steps outlive a daemon.

    A process belongs to it by its environment; the manager of a step has none, but writes to a log of the folder.
    """
    with contextlib.suppress(subprocess.SubprocessError, OSError):
        for command in (["scancel", "--user", getpass.getuser()], ["scontrol", "shutdown"]):
            subprocess.run(command, env=environment, timeout=20, check=False, capture_output=True)
    for process in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            own = process.environ().get("SLURM_CONF") == environment["SLURM_CONF"]
            if own or any(Path(file.path).is_relative_to(folder) for file in process.open_files()):
                process.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as path:
        try:
            with cluster(path) as environment:
                sys.exit(subprocess.run(sys.argv[1:] or ["sinfo"], env=environment, check=False).returncode)
        except UnavailableError as error:
            sys.exit(str(error))
