"""A Slurm cluster of one node, of Debian's packages, in a folder of its own; what it starts it stops, by process id.

Nothing of the system's configuration is read or written: munge has a key and a socket of its own, the daemons have
folders and ports of their own, and the commands in ``bin`` name its configuration, which goes first on a job's PATH.
The node has more cores than the machine (its jobs sleep most of the time) and two devices that look like GPUs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
ACCOUNTANTS = ("mariadbd", "mariadb-install-db", "my_print_defaults", "slurmdbd")
CLIENTS = ("sbatch", "salloc", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")
PACKAGES = (
    "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge slurmdbd mariadb-server-core "
    "mariadb-client-core"
)
SEARCHED = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"
PATIENCE = 120.0  # seconds for a daemon to answer, on a machine that does ten other things

CONFIGURATION = """\
ClusterName=one
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=0
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=0
KillWait=15
MinJobAge={min_job_age}
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
{accounting}
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=1-0 PriorityTier=1 State=UP
PartitionName=urgent Nodes=node MaxTime=1-0 PriorityTier=10 PreemptMode=OFF State=UP
"""

NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
BOOKS = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={store}
StorageUser=root
StorageLoc=books
"""


def missing() -> str | None:
    """Why there can be no cluster here, or None."""
    lacking = [name for name in (*DAEMONS, *ACCOUNTANTS, *CLIENTS) if shutil.which(name, path=SEARCHED) is None]
    if lacking:
        return f"no {lacking[0]} here: {PACKAGES}"
    if os.getuid() != 0:
        return "the daemons of a cluster are started as root"
    return None


class OneNode:
    """The cluster.

    Args:
        folder: an empty one, on a short path: sockets lie in it.
        accounting: whether jobs are accounted for, in a database of its own.
        min_job_age: for how many seconds the controller remembers a job that has ended.
    """

    def __init__(self, folder: Path, accounting: bool = False, min_job_age: int = 600) -> None:
        self.folder, self.accounting, self.min_job_age = folder, accounting, min_job_age
        self.ports = _free_ports(4)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> OneNode:
        self._write()
        try:
            self.start_munge()
            if self.accounting:
                self.start_accounting()
            self.start_controller()
            self.start_node()
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("scancel", "--user", "root", check=False)
        self.wait(lambda: not self.run("squeue", "--noheader", check=False).strip(), "jobs to end", 60)
        self.stop_all()

    @property
    def configuration(self) -> Path:
        """``slurm.conf``."""
        return self.folder / "slurm.conf"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of whoever submits: the cluster's commands first."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
        return kept | {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def run(self, *words: str, check: bool = True) -> str:
        """What one of the cluster's commands says."""
        done = subprocess.run([str(self.folder / "bin" / words[0]), *words[1:]], capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def answers(self, *words: str) -> bool:
        """Whether a command succeeds."""
        program = str(self.folder / "bin" / words[0])
        return subprocess.run([program, *words[1:]], capture_output=True).returncode == 0

    def idle(self) -> bool:
        """Whether the node can take jobs."""
        return self.run("sinfo", "--noheader", "--Node", "--format=%T", check=False).split()[:1] in (
            ["idle"], ["mixed"], ["allocated"],
        )  # fmt: skip

    def start_munge(self) -> None:
        """Start the daemon that says who somebody is."""
        socket_ = self.folder / "munge.socket"
        places = ("key-file", "munge.key"), ("log-file", "munge.log"), ("pid-file", "munge.pid"), ("seed-file", "seed")
        words = [f"--{option}={self.folder / name}" for option, name in places]
        self.start("munged", "--foreground", "--force", f"--socket={socket_}", *words, ready=socket_.exists)

    def start_accounting(self) -> None:
        """Start a database, which only this machine reaches, and the daemon that keeps accounts in it."""
        _, _, books, store = self.ports
        where, user = self.folder / "database", pwd.getpwuid(os.getuid()).pw_name
        make = ("mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={where}", "--skip-test-db")
        subprocess.run([*make, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        words = f"--user={user}", f"--datadir={where}", f"--socket={self.folder}/database.socket", f"--port={store}"
        listens = "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=64M"
        self.start("mariadbd", "--no-defaults", *words, *listens, ready=lambda: _listens(store))
        configuration = self.folder / "slurmdbd.conf"
        configuration.write_text(BOOKS.format(folder=self.folder, user=user, port=books, store=store))
        configuration.chmod(0o600)
        variables = {"SLURM_CONF": str(self.configuration)}
        self.start("slurmdbd", "-D", ready=lambda: _listens(books), variables=variables)
        for words in (("cluster", "one"), ("account", "group"), ("user", "root", "account=group")):
            self.run("sacctmgr", "--immediate", "add", *words)

    def start(
        self, daemon: str, *words: str, ready: Callable[[], bool], variables: Mapping[str, str] | None = None
    ) -> None:
        """Start a daemon in the foreground, and wait until it is there."""
        program = shutil.which(daemon, path=SEARCHED)
        assert program is not None
        with (self.folder / f"{daemon}.out").open("ab") as out:
            self.running[daemon] = subprocess.Popen(
                [program, *words],
                env=os.environ | (variables or {}),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.wait(ready, daemon)

    def stop(self, daemon: str) -> None:
        """Stop a daemon, by its process id."""
        process = self.running.pop(daemon)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """Stop every daemon, the last one first, and what is left of their jobs."""
        for daemon in reversed(list(self.running)):
            self.stop(daemon)
        for process in self._left():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def start_controller(self, *more: str) -> None:
        """Start the controller; it reads the jobs that it knew, or with ``-c`` forgets them."""
        words = "-D", "-f", str(self.configuration), *more
        self.start("slurmctld", *words, ready=lambda: self.answers("scontrol", "show", "config"))

    def start_node(self) -> None:
        """Start the daemon that starts jobs."""
        self.start("slurmd", "-D", "-f", str(self.configuration), "-N", "node", ready=self.idle)

    def fail_node(self) -> None:
        """The node loses power: whatever runs there is gone without a word."""
        daemon = self.running.pop("slurmd")
        daemon.kill()
        daemon.wait()
        for process in self._left():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.run("scontrol", "update", "nodename=node", "state=down", "reason=power")

    def return_node(self) -> None:
        """The node is back."""
        self.start("slurmd", "-D", "-f", str(self.configuration), "-N", "node", ready=lambda: True)
        self.run("scontrol", "update", "nodename=node", "state=resume")
        self.wait(self.idle, "the node")

    def wait(self, ready: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait until something holds."""
        until = time.monotonic() + seconds
        while not ready():
            for daemon, process in self.running.items():
                if process.poll() is not None:
                    raise AssertionError(f"{daemon} ended: {(self.folder / f'{daemon}.out').read_text()[-2000:]}")
            if time.monotonic() > until:
                raise AssertionError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.2)

    def _write(self) -> None:
        for name in ("bin", "state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munge refuses a socket whose folder others may write
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        controller, node, books, _ = self.ports
        accounting = ACCOUNTING.format(folder=self.folder, port=books) if self.accounting else NO_ACCOUNTING
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder, user=pwd.getpwuid(os.getuid()).pw_name, host=socket.gethostname().split(".")[0],
                controller=controller, node=node, min_job_age=self.min_job_age, accounting=accounting,
            )
        )  # fmt: skip
        (self.folder / "gres.conf").write_text("AutoDetect=off\nName=gpu File=/dev/tty[0-1]\n")
        for name in CLIENTS:
            program = self.folder / "bin" / name
            where = shutil.which(name, path=SEARCHED)
            program.write_text(f'#!/bin/sh\nSLURM_CONF={self.configuration} exec {where} "$@"\n')
            program.chmod(0o755)

    def _left(self) -> list[int]:
        """Processes of jobs, whose environment names this cluster, after the daemons that watch them."""
        import psutil

        mine = str(self.configuration)
        found = [
            process
            for process in psutil.process_iter(["environ", "ppid"])
            if (process.info["environ"] or {}).get("SLURM_CONF") == mine
        ]
        parents = {process.info["ppid"] for process in found}
        watching = [process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "slurmstepd"]
        return [*(pid for pid in watching if pid in parents), *(process.pid for process in found)]


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
