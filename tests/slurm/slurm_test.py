#!/usr/bin/env python3
"""Runs scripts/slurm by Slurm itself: munged, slurmctld and slurmd as plain processes on this machine, in a folder and on
ports of their own. The array's folder must equal a single process's byte for byte, and stay so where tasks are
cancelled, requeued and out of time on the way.

usage: slurm_test.py SDTORCH MODEL    exits with 77 where Slurm is not installed, or its daemons do not start
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts" / "slurm"
SKIPPED = 77
SHARDS = 4
PICTURES = 20
PATIENCE = 240  # seconds for an array
FLAGS = ["--device", "cpu", "--dtype", "fp32", "-W", "64", "-H", "64"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(folder: pathlib.Path) -> str:
    host, user = socket.gethostname(), os.environ.get("USER") or "root"
    return f"""
ClusterName=sdtorch
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user if os.geteuid() else "root"}
SlurmdUser={user if os.geteuid() else "root"}
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,sched_min_interval=100000,batch_sched_delay=0
KillWait=5
MinJobAge=3600
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={SHARDS} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP MaxTime=60
"""


def cgroup_configuration() -> str:
    """None are used; from version 23 on that can be said, and is to be said where there is no systemd."""
    version = subprocess.run(["slurmctld", "-V"], text=True, stdout=subprocess.PIPE).stdout.split()[-1]
    return "CgroupPlugin=disabled\n" if int(version.split(".")[0]) >= 23 else ""


def children_of_everybody() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    return children


def descendants() -> list[int]:
    """Every process that this one started, directly or not: orphans come back to it."""
    children, found, waiting = children_of_everybody(), [], [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def adopt_orphans() -> None:
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def end_descendants() -> None:
    for patience, how in ((10, signal.SIGTERM), (10, signal.SIGKILL)):
        for process in descendants():
            with contextlib.suppress(OSError):
                os.kill(process, how)
        until = time.monotonic() + patience
        while descendants() and time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.1)


class NotHere(Exception):
    """This machine does not let Slurm run."""


class Slurm:
    """The daemons, for as long as the `with` block lasts."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "OMP_NUM_THREADS": "1"}
        for name in [n for n in self.environment if n.startswith(("SLURM_", "SBATCH_")) and n != "SLURM_CONF"]:
            del self.environment[name]

    def __enter__(self) -> "Slurm":
        for name in ("munge", "state", "spool", "logs"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(configuration(self.folder))
        (self.folder / "cgroup.conf").write_text(cgroup_configuration())
        munge = self.folder / "munge"
        self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge / 'socket'}",
                   f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}")
        try:
            self.wait_for("munged", lambda: (munge / "socket").exists())
            self.start("slurmctld", "-D", "-c")
            self.wait_for("slurmctld", lambda: self.run("scontrol", "ping").returncode == 0)
            self.start("slurmd", "-D")
            self.wait_for("slurmd", lambda: self.run("sinfo", "-h", "-o", "%T").stdout.strip() == "idle")
        except AssertionError as error:
            raise NotHere(str(error)) from error
        return self

    def __exit__(self, *_) -> None:
        self.run("scancel", "--state=RUNNING,PENDING,SUSPENDED", "--user", os.environ.get("USER") or "root")
        self.run("scontrol", "shutdown")
        end_descendants()

    def start(self, *command: str) -> None:
        program = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
        with open(self.folder / "logs" / command[0], "wb") as log:
            subprocess.Popen([program, *command[1:]], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=subprocess.STDOUT)

    def run(self, *command: str, **more) -> subprocess.CompletedProcess:
        environment = {**self.environment, **more.pop("environment", {})}
        return subprocess.run(command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, **more)

    def wait_for(self, what: str, is_so, patience: float = 60) -> None:
        until = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > until:
                raise AssertionError(f"{what}: not within {patience} seconds\n{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                         for log in sorted((self.folder / "logs").iterdir()))

    def states(self, job: str) -> list[str]:
        """Of a job, or of each task of an array that has begun."""
        shown = self.run("scontrol", "--oneliner", "show", "job", job).stdout
        return [word.removeprefix("JobState=") for word in shown.split() if word.startswith("JobState=")]

    def wait_for_end(self, job: str) -> list[str]:
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
        self.wait_for(f"job {job}", lambda: self.states(job) and set(self.states(job)) <= over, PATIENCE)
        return self.states(job)


class Test:
    def __init__(self, slurm: Slurm, sdtorch: str, model: str):
        self.slurm, self.sdtorch, self.model = slurm, sdtorch, model
        self.work = slurm.folder / "work"
        self.work.mkdir()
        self.prompts = self.work / "prompts.jsonl"
        self.prompts.write_text("".join(json.dumps({"prompt": f"house number {i}", "seed": 100 + i}) + "\n"
                                        for i in range(PICTURES)))

    def environment(self, outdir: str) -> dict[str, str]:
        return {"PROMPTS": str(self.prompts), "OUTDIR": str(self.work / outdir), "MODEL": self.model,
                "SHARDS": str(SHARDS), "SDTORCH": self.sdtorch}

    def draw_alone(self, outdir: str, flags: list[str]) -> None:
        done = self.slurm.run(self.sdtorch, "--from-file", str(self.prompts), "--outdir", outdir, "--model", self.model,
                              *flags, cwd=self.work)
        assert done.returncode == 0, done.stdout

    def submit(self, script: str, outdir: str, flags: list[str]) -> tuple[str, str]:
        """The jobs of the array and of the check."""
        done = self.slurm.run(str(SCRIPTS / script), *flags, cwd=self.work, environment=self.environment(outdir))
        words = done.stdout.replace(",", " ").split()
        assert done.returncode == 0 and "array" in words, done.stdout
        return words[words.index("array") + 1], words[words.index("check") + 1]

    def output_of(self, job: str) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')}"
                         for log in sorted(self.work.glob(f"sdtorch-{job}*.log")))

    def pictures(self, outdir: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.work / outdir).glob("*.png")}

    def check_same(self, outdir: str, alone: str) -> None:
        """The same files, and nothing besides."""
        ours, theirs = (sorted(path.name for path in (self.work / name).iterdir()) for name in (outdir, alone))
        assert ours == theirs, f"{outdir}: {ours}\n{alone}: {theirs}"
        assert len(self.pictures(alone)) == PICTURES
        for name in theirs:
            same = (self.work / outdir / name).read_bytes() == (self.work / alone / name).read_bytes()
            assert same, f"{name} is another in {outdir} than in {alone}"

    def an_array_equals_a_process(self) -> None:
        flags = [*FLAGS, "--steps", "2"]
        self.draw_alone("alone", flags)
        array, check = self.submit("submit", "array", flags)
        states = self.slurm.wait_for_end(array)
        assert states == ["COMPLETED"] * SHARDS, f"{states}\n{self.output_of(array)}"
        states = self.slurm.wait_for_end(check)
        assert states == ["COMPLETED"], f"{states}\n{self.output_of(check)}"
        self.check_same("array", "alone")

    def what_is_lost_is_drawn_again(self) -> None:
        flags = [*FLAGS, "--steps", "150"]  # long enough to be interrupted
        self.draw_alone("slow-alone", flags)
        array, check = self.submit("submit", "slow", flags)
        self.slurm.wait_for("a first picture of each task", lambda: {int(name[:5]) % SHARDS for name in
                                                                      self.pictures("slow")} == set(range(SHARDS)))
        for command in (["scancel", f"{array}_1"], ["scontrol", "requeue", f"{array}_2"],
                        ["scancel", "--batch", "--signal=USR1", f"{array}_3"]):
            done = self.slurm.run(*command)
            assert done.returncode == 0, done.stdout
        states = self.slurm.wait_for_end(array)
        assert sorted(states) == ["CANCELLED"] + ["COMPLETED"] * (SHARDS - 1), f"{states}\n{self.output_of(array)}"
        assert "time is up" in self.output_of(f"{array}_3")
        assert self.slurm.wait_for_end(check) == ["FAILED"], self.output_of(check)
        assert len(self.pictures("slow")) < PICTURES

        array, check = self.submit("resubmit", "slow", flags)
        assert set(self.slurm.wait_for_end(array)) == {"COMPLETED"}, self.output_of(array)
        assert self.slurm.wait_for_end(check) == ["COMPLETED"], self.output_of(check)
        self.check_same("slow", "slow-alone")
        again = self.slurm.run(str(SCRIPTS / "resubmit"), *flags, cwd=self.work, environment=self.environment("slow"))
        assert again.returncode == 0 and "nothing is submitted" in again.stdout, again.stdout

    def what_would_fail_is_not_submitted(self) -> None:
        """Flags that the program refuses, and a journal that it cannot read; a device of the nodes' is none of these."""
        def said(script: str, outdir: str, *flags: str) -> tuple[int, str]:
            done = self.slurm.run(str(SCRIPTS / script), *flags, cwd=self.work, environment=self.environment(outdir))
            return done.returncode, done.stdout

        for flags, code in (["--stepz", "3"], 2), (["--steps", "3", "--device"], 2):
            ended, text = said("submit", "none", *flags)
            assert ended == code and "array" not in text, text
        (self.work / "broken").mkdir()
        (self.work / "broken" / "sdtorch.jobs.jsonl").write_text("no journal's\n")
        ended, text = said("resubmit", "broken")
        assert ended == 6 and "array" not in text, text


def main() -> int:
    sdtorch, model = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if missing:
        print(f"skipped: no {', '.join(missing)} (Debian's slurm-wlm and munge)")
        return SKIPPED
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sdtorch-slurm-"))
    try:
        with Slurm(folder) as slurm:
            test = Test(slurm, sdtorch, model)
            test.an_array_equals_a_process()
            print("an array's folder equals a single process's")
            test.what_is_lost_is_drawn_again()
            print("cancelled, requeued and out of time: drawn again, and the same")
            test.what_would_fail_is_not_submitted()
            print("what would fail is not submitted")
    except NotHere as error:
        print(f"skipped: Slurm does not start here: {error}")
        return SKIPPED
    finally:
        end_descendants()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
