"""A private Slurm cluster on this machine: two nodes with two stand-in GPUs each, and one without.

    python -m tests.helpers.slurm_cluster run -- sbatch --gpus=1 --wrap hostname
    python -m tests.helpers.slurm_cluster start FOLDER   # prints what the shell needs to use it
    python -m tests.helpers.slurm_cluster stop FOLDER

It has its own configuration, munge key, ports, spool, state and logs, all in one folder, and leaves
a Slurm that the machine may have alone. Debian's packages are installed if they are absent, which
needs root; the daemons run as whoever starts them. The GPUs are links to /dev/null: Slurm schedules
them and sets CUDA_VISIBLE_DEVICES, and nothing else is true about them. The partition `cpu` is the
node without, so that a job there that asks for a GPU is refused. Jobs of the partition `urgent`
preempt those of `gpu`, which are requeued.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.helpers.debian import NotInstalled, install, program

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct")
NODES = ("node1", "node2")  # with GPUs
CPU_NODES = ("node3",)
DEADLINE = 60  # seconds for anything that the cluster should do at once
GPUS = 2  # a node
KILL_WAIT = 10  # seconds between Slurm's SIGTERM and SIGKILL

# Jobs are tracked by process group, so that Slurm kills what is left of a step when its first
# process ends, as the cgroups of real sites do. Credentials expire early because a requeued job
# waits for that.
CONFIGURATION = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait={kill_wait}
MinJobAge=86400
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=gpu Nodes={gpu_nodes} Default=YES
PartitionName=cpu Nodes={cpu_nodes}
PartitionName=urgent Nodes={gpu_nodes} PriorityTier=2
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=16000"
    "{gres} State=UNKNOWN"
)


class ClusterError(Exception):
    """The cluster does not start; the text says why."""


def missing() -> list[str]:
    """Those of Slurm's programs that are not installed."""
    return [name for name in DAEMONS + CLIENTS if not program(name)]


class Cluster:
    """A cluster in a folder. Slurm's own commands are found on `environment()`'s PATH."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.configuration = self.folder / "slurm.conf"
        self.pids = self.folder / "pids"

    def environment(self) -> dict[str, str]:
        """This process's environment, with the cluster's commands before any others."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "SLURM_CONF": str(self.configuration)}

    def run(self, *words: str) -> str:
        """Output of one of Slurm's commands."""
        done = subprocess.run(
            words, env=self.environment(), capture_output=True, text=True, timeout=DEADLINE
        )
        if done.returncode:
            raise ClusterError(f"{shlex.join(words)}: {done.stdout}{done.stderr}{self.logs()}")
        return done.stdout

    def logs(self, lines: int = 30) -> str:
        """The ends of the daemons' logs."""
        texts = [""]
        for path in sorted((self.folder / "log").glob("*")):
            texts += [f"== {path.name}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(texts)

    def job_processes(self, job: str | None = None) -> list[int]:
        """Processes of a job, or of all jobs, even of those that have escaped the daemons."""
        mine, found = f"SLURM_CONF={self.configuration}", []
        for entry in Path("/proc").iterdir():
            variables = (
                read_proc(entry.name, "environ").split("\0") if entry.name.isdecimal() else []
            )
            jobs = [v.partition("=")[2] for v in variables if v.startswith("SLURM_JOB_ID=")]
            if mine in variables and jobs and job in (None, *jobs):
                found.append(int(entry.name))
        return found

    def start(self) -> None:
        """Install, configure and start it; returns when its nodes take jobs."""
        install(missing, PACKAGES, "slurm")
        self._configure()
        try:
            files = [f"--{n}-file={self.folder}/munge.{n}" for n in ("key", "pid", "seed")]
            socket_file, log = f"{self.folder}/munge.socket", f"{self.folder}/log/munged.log"
            self._start(
                "munged", "--foreground", "--force",
                f"--socket={socket_file}", f"--log-file={log}", *files,
            )  # fmt: skip
            self._wait(lambda: os.path.exists(socket_file), "munged does not answer")
            self._start("slurmctld", "-D", "-c", "-f", str(self.configuration))
            nodes = NODES + CPU_NODES
            for node in nodes:
                self._start("slurmd", "-D", "-N", node, "-f", str(self.configuration))
            self._wait(lambda: self._states() == ["idle"] * len(nodes), "the nodes are not idle")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the cluster's daemons and whatever its jobs have left; the folder stays."""
        with contextlib.suppress(ClusterError, FileNotFoundError, subprocess.TimeoutExpired):
            if self._daemons():
                self.run("scancel", f"--user={getpass.getuser()}")
                self._wait(lambda: not self.run("squeue", "--noheader"), "jobs do not end")
        for processes in (self._daemons, self.job_processes):
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                with contextlib.suppress(ClusterError):
                    self._wait(lambda p=processes: not p(), "processes do not end", KILL_WAIT)

    def _configure(self) -> None:
        for name in ("state", "spool", "log", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        names = NODES + CPU_NODES
        controller_port, *ports = free_ports(1 + len(names))
        gres = {name: f" Gres=gpu:{GPUS}" for name in NODES}
        nodes = [
            NODE.format(name=name, host=host, port=port, gres=gres.get(name, ""))
            for name, port in zip(names, ports, strict=True)
        ]
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                host=host,
                user=getpass.getuser(),
                controller_port=controller_port,
                kill_wait=KILL_WAIT,
                nodes="\n".join(nodes),
                gpu_nodes=",".join(NODES),
                cpu_nodes=",".join(CPU_NODES),
            )
        )
        for number in range(GPUS):
            (self.folder / f"gpu{number}").symlink_to(os.devnull)
        gpus = f"NodeName={','.join(NODES)} Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n"
        (self.folder / "gres.conf").write_text(gpus)
        # SLURM_CONF alone is not enough: Snakemake's plugin hides SLURM_* from its jobs.
        for name in CLIENTS:
            wrapper = self.folder / "bin" / name
            command = f'exec {program(name)} "$@"'
            wrapper.write_text(f"#!/bin/sh\nSLURM_CONF={self.configuration} {command}\n")
            wrapper.chmod(0o755)

    def _start(self, name: str, *words: str) -> None:
        with open(self.folder / "log" / "output.log", "a") as output:
            daemon = subprocess.Popen(
                [program(name), *words], env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        STARTED.append(daemon)
        with open(self.pids, "a") as file:
            file.write(f"{daemon.pid}\n")

    def _daemons(self) -> list[int]:
        """Those of the recorded processes that live: a number may have passed to another one."""
        for daemon in STARTED:
            daemon.poll()
        pids = map(int, self.pids.read_text().split()) if self.pids.exists() else []
        return [pid for pid in pids if str(self.folder) in read_proc(pid, "cmdline")]

    def _states(self) -> list[str]:
        with contextlib.suppress(ClusterError):
            return self.run("sinfo", "--noheader", "--Node", "-p", "gpu,cpu", "-o", "%T").split()
        return []

    def _wait(self, done: Callable[[], bool], complaint: str, seconds: float = DEADLINE) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise ClusterError(f"{complaint} after {seconds} s{self.logs()}")
            time.sleep(0.1)


STARTED: list[subprocess.Popen] = []


def read_proc(pid: int | str, name: str) -> str:
    """A file of /proc about a process; empty if it has ended or is another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def free_ports(number: int) -> list[int]:
    """TCP ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster in a temporary folder; nothing is left of it."""
    # Not pytest's folder: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm.", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("start", "start a cluster in a folder and print what a shell needs to use it"),
        ("stop", "stop the cluster of a folder and delete the folder"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path)
    command = commands.add_parser("run", help="run one command beside a cluster of its own")
    command.add_argument("command", nargs="+", metavar="-- command")
    given = parser.parse_args()
    try:
        if given.action == "run":
            with running_cluster() as cluster:
                done = subprocess.run(given.command, env=cluster.environment())
            sys.exit(done.returncode)
        cluster = Cluster(given.folder)
        if given.action == "stop":
            if not cluster.pids.exists():
                raise ClusterError(f"{given.folder}: no cluster was started there")
            cluster.stop()
            shutil.rmtree(cluster.folder)
            return
        if given.folder.exists():
            raise ClusterError(f"{given.folder}: exists already; name a new folder")
        cluster.start()
    except (ClusterError, NotInstalled) as error:
        sys.exit(f"error: {error}")
    print(f"export PATH={shlex.quote(str(cluster.folder / 'bin'))}:$PATH")
    print(f"export SLURM_CONF={shlex.quote(str(cluster.configuration))}")


if __name__ == "__main__":
    main()
