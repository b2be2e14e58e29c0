"""Running the programs that are compared: by turns, part by part, or whole."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time


class PeerFailed(Exception):
    """A peer ended before its time; the message holds the end of what it said."""


def field_of(pid: int, name: str) -> float:
    """A field of /proc/PID/status that is in kB, in MiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(rf"^{name}:\s+(\d+) kB", status.read(), re.MULTILINE).group(1)) / 1024


class ByTurns:
    """A program that measures itself part by part. Between its turns it is stopped, threads and all, so that whoever
    waits, however its threads wait, takes nothing from whoever is measured."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=self.said, start_new_session=True)
        self.load_peak_mib = self.steady_mib = 0.0
        self.begun = False

    def turn(self) -> tuple[str, float]:
        """Lets it do its next part: the part's name and seconds, by its own clock."""
        if self.begun:
            os.killpg(self.process.pid, signal.SIGCONT)
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self.begun = True
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            raise PeerFailed(self.last_words())
        os.killpg(self.process.pid, signal.SIGSTOP)
        told = json.loads(line)
        if told["part"] == "load":
            self.load_peak_mib = field_of(self.process.pid, "VmHWM")
        elif told["part"] == "step":
            self.steady_mib = max(self.steady_mib, field_of(self.process.pid, "VmRSS"))
        return told["part"], told["seconds"]

    def turns_until(self, part: str) -> float:
        """Takes turns up to and with the next of that name."""
        while True:
            name, seconds = self.turn()
            if name == part:
                return seconds

    def last_words(self) -> str:
        self.end()
        self.said.seek(0)
        return self.said.read()[-2000:]

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Whole:
    """A program from its start to its end."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        with tempfile.TemporaryFile("w+") as said:
            started = time.perf_counter()
            process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                                       stdout=said, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            self.seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            self.peak_mib = usage.ru_maxrss / 1024
            said.seek(0)
            self.said = said.read()
        if process.returncode != 0:
            raise PeerFailed(self.said[-2000:])
