#!/usr/bin/env python3
"""Places that take no pictures: a full disk, a read-only folder, an output that nobody reads.

usage: places.py SDTORCH [LIBRARY]

LIBRARY is that of failing_calls.cpp. It stands in for a full disk where this user may mount none.
"""

import ctypes
import os
import pathlib
import resource
import subprocess
import sys

from batch import Batch, Folder, Wrong, check_complete, expect, finish, runs_tests

INSIDE = "SDTORCH_TEST_MAY_MOUNT"
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24


def with_mounts():
    """Starts this test again where it may mount, which nobody outside sees; returns where that cannot be."""
    if INSIDE in os.environ:
        return
    for how in ["-m"], ["-U", "-r", "-m"]:
        namespace = ["unshare", *how]
        try:
            if subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0:
                os.environ[INSIDE] = "1"
                os.execvp("unshare", [*namespace, sys.executable, *sys.argv])
        except FileNotFoundError:
            return


def as_one_whom_modes_stop():
    """Root may write wherever it likes; without this capability a folder's mode holds for it, too."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def small_files_only(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class Places:
    def __init__(self, batch, library):
        self.batch, self.library, self.whole = batch, library, batch.clean()
        self.may_mount = INSIDE in os.environ
        self.some = sum(len(data) for data in self.whole.pictures.values()) // 2  # bytes for half of the pictures

    def mount(self, name, options):
        place = self.batch.area / name
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
        return place

    def check_ended(self, result, place, out):
        code, said, told = result
        expect(code == 6, f"exit code {code}: {told}")
        error = [line for line in told.splitlines() if line.startswith("error: ")]
        expect(error and str(place) in error[-1], f"the message does not name it: {told}")
        self.check_kept(said, out)
        return said

    def check_kept(self, said, out):
        """What was drawn until then stays and is in the journal."""
        now = Folder(out)
        now.check_part_of(self.whole)
        expect(set(now.pictures) >= {pathlib.Path(line).name for line in said.splitlines()}, "printed, and not there")
        return now

    def check_resume(self, out, **how):
        code, _, told = self.batch.run(out, "--resume", **how)
        expect(code == 0, f"the run after it ends with {code}: {told}")
        check_complete(self.batch, out, self.whole)

    def full_disk(self):
        """a disk that is full in the middle of a run: exit code 6, what was drawn stays, room lets a resume complete"""
        if not self.may_mount:
            return "left out: this user may mount no small disk "
        for reserve in range(0, 3 * 4096, 4096):
            # Pages for half of the pictures, and at other pages than before.
            place = self.mount(f"full-{reserve}", f"size={(self.some // 4096 + 4) * 4096 + reserve}")
            out = place / "out"
            said = self.check_ended(self.batch.run(out), place, out)
            expect(0 < len(said.splitlines()) < len(self.whole.pictures), f"not full in the middle: {said!r}")
            self.check_ended(self.batch.run(out, "--resume"), place, out)
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            self.check_resume(out)
            subprocess.run(["umount", str(place)], check=True)
        return ""

    def no_inodes(self):
        """a disk that has no more files: the same"""
        if not self.may_mount:
            return "left out: this user may mount no small disk "
        place = self.mount("inodes", f"size=64m,nr_inodes={len(self.whole.pictures) // 2 + 3}")
        out = place / "out"
        self.check_ended(self.batch.run(out), place, out)
        subprocess.run(["mount", "-o", "remount,nr_inodes=1000", str(place)], check=True)
        self.check_resume(out)
        subprocess.run(["umount", str(place)], check=True)

    def full_disk_by_library(self):
        """the same, with writes that a quota cuts short and then refuses"""
        if not self.library:
            return "left out: no library "
        for without in "", "tmpfile", "tmpfile,link":
            for room in range(100, 2 * self.some, self.some // 2):
                out = self.batch.area / f"quota-{without}-{room}"
                faults = {"LD_PRELOAD": self.library, "SDTORCH_FAULT_FOLDER": str(out), "SDTORCH_FAULT_ROOM": str(room),
                          "SDTORCH_FAULT_WITHOUT": without}
                self.check_ended(self.batch.run(out, env=faults), out, out)
                self.check_resume(out)
        return ""

    def file_size_limit(self):
        """a limit of a file's size (ulimit -f): exit code 6, not a signal"""
        out = self.batch.area / "limited"
        largest = max(len(data) for data in self.whole.pictures.values())
        self.check_ended(self.batch.run(out, preexec_fn=small_files_only(largest - 100)), out, out)
        self.check_resume(out)

    def read_only_folder(self):
        """a folder whose mode forbids writing: exit code 6 before anything is drawn"""
        out = self.batch.area / "closed"
        out.mkdir(mode=0o555)
        code, said, told = self.batch.run(out, preexec_fn=as_one_whom_modes_stop)
        if os.geteuid() == 0 and code == 0:
            return "left out: root, and the capability cannot be dropped "
        self.check_ended((code, said, told), out, out)
        expect(not os.listdir(out), "something was written")
        # And one that is closed to a resumed run; its pictures stay.
        out.chmod(0o755)
        process = self.batch.start(out, preexec_fn=as_one_whom_modes_stop)
        process.stdout.readline()
        process.kill()
        finish(process)
        out.chmod(0o555)
        self.check_ended(self.batch.run(out, "--resume", preexec_fn=as_one_whom_modes_stop), out, out)
        out.chmod(0o755)
        self.check_resume(out)
        return ""

    def read_only_disk(self):
        """a disk that is mounted read-only: exit code 6 before anything is drawn"""
        if not self.may_mount:
            return "left out: this user may mount no disk "
        place = self.mount("read-only", "size=64m")
        out = place / "out"
        process = self.batch.start(out)
        process.stdout.readline()
        process.kill()
        finish(process)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        self.check_ended(self.batch.run(out, "--resume"), place, out)
        self.check_ended(self.batch.run(place / "new"), place, place / "new")
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        self.check_resume(out)
        subprocess.run(["umount", str(place)], check=True)
        return ""

    def check_stdout_ended(self, out, result):
        code, _, told = result
        expect(code == 6 and "<stdout>" in told, f"exit code {code}: {told}")
        now = self.check_kept("", out)
        expect(now.records and len(now.records) == len(now.pictures), "what was drawn is not in the journal")
        self.check_resume(out)

    def closed_stdout(self):
        """a closed stdout (>&-): exit code 6; what was drawn stays and is in the journal, which nothing else is"""
        for name, closed in ("stdout", [1]), ("all", [0, 1, 2]):
            out = self.batch.area / f"closed-{name}"
            process = self.batch.start(out, stdout=None, stderr=None if 2 in closed else subprocess.PIPE,
                                       preexec_fn=lambda closed=closed: [os.close(file) for file in closed])
            code, said, told = finish(process)
            self.check_stdout_ended(out, (code, said, told or "<stdout>"))

    def closed_stderr(self):
        """a closed stderr, or stdin: nothing that matters"""
        for file in 0, 2:
            out = self.batch.area / f"closed-{file}"
            code, said, _ = self.batch.run(out, preexec_fn=lambda file=file: os.close(file))
            expect(code == 0 and len(said.splitlines()) == len(self.whole.pictures), f"exit code {code}")
            check_complete(self.batch, out, self.whole)

    def full_stdout(self):
        """a stdout that cannot be written to (/dev/full): the same"""
        out = self.batch.area / "full-stdout"
        with open("/dev/full", "w") as full:
            self.check_stdout_ended(out, self.batch.run(out, stdout=full))

    def reader_goes(self):
        """a reader that goes away (head -1): the same"""
        out = self.batch.area / "head"
        process = self.batch.start(out)
        expect(process.stdout.readline().endswith(".png\n"), "no first line")
        process.stdout.close()
        process.stdout = None
        self.check_stdout_ended(out, finish(process))

    def tests(self):
        return [self.full_disk, self.no_inodes, self.full_disk_by_library, self.file_size_limit, self.read_only_folder,
                self.read_only_disk, self.closed_stdout, self.closed_stderr, self.full_stdout, self.reader_goes]


def main():
    with_mounts()
    prompts = "".join(f"a boat no. {number}\n" for number in range(8))
    try:
        with Batch(sys.argv[1], prompts) as batch:
            return runs_tests(Places(batch, sys.argv[2] if len(sys.argv) > 2 else "").tests())
    except Wrong as wrong:
        print(f"FAILED: {wrong}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
