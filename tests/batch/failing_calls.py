#!/usr/bin/env python3
"""Lets each file-system call of a run fail in turn, and looks at what the run says and leaves.

usage: failing_calls.py SDTORCH LIBRARY [--all]

LIBRARY is that of failing_calls.cpp. The runs: into a new folder, and a resumed one that finds a torn journal, a piece
of a killed process and a picture that no journal tells of; each on a file system with all that Linux has, on one without
nameless files, and on one without hard links too. What a call fails with is ENOSPC, EIO, EROFS or EDQUOT in turn (--all:
each of them, calls that only look as well, and all from one on), and writes also take a half.

Each such run ends with exit code 6 and a message that names the file, or finds another way and ends with 0. No picture
is torn, the journal can be read, and a run after it, which nothing disturbs, makes the folder complete.
"""

import argparse
import collections
import errno
import pathlib
import shutil
import sys

from batch import JOURNAL, Batch, Folder, Wrong, check_complete, expect

ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]
FILE_SYSTEMS = {"": "all of Linux", "tmpfile": "no nameless files", "tmpfile,link": "no nameless files, no links"}
ONLY_LOOKING = {"stat", "access", "opendir", "readdir", "read"}


class Walk:
    def __init__(self, options, batch):
        self.options, self.batch = options, batch
        self.whole = batch.clean()
        self.begun = batch.area / "begun"
        self.leave_a_killed_run(self.begun)
        self.count, self.by_code, self.turn = 0, collections.Counter(), 0

    def leave_a_killed_run(self, folder):
        """The clean folder without its last two records, and half of another; one picture is not there at all."""
        shutil.copytree(self.batch.area / "clean", folder)
        journal = folder / JOURNAL
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(lines[:-2]) + lines[-2][:40])
        (folder / sorted(self.whole.pictures)[-1]).unlink()
        piece = folder / ".sdtorch-1-0.tmp"
        piece.write_bytes(b"a piece")

    def run(self, begun, without, **fault):
        """Into a folder two levels below one that is there, all of which may fail."""
        place = self.batch.area / "place"
        shutil.rmtree(place, ignore_errors=True)
        out = place / "deep" / "out"
        if begun:
            shutil.copytree(self.begun, out)
        faults = {"LD_PRELOAD": self.options.library, "SDTORCH_FAULT_FOLDER": str(place),
                  "SDTORCH_FAULT_WITHOUT": without, **{f"SDTORCH_FAULT_{k.upper()}": str(v) for k, v in fault.items()}}
        code, said, told = self.batch.run(out, *(["--resume"] if begun else []), env=faults)
        return out, code, said, told

    def calls(self, begun, without):
        """Each call of a run that nothing fails, with its path."""
        log = self.batch.area / "calls"
        log.unlink(missing_ok=True)
        _, code, _, told = self.run(begun, without, log=log)
        expect(code == 0, f"a run that is only looked at ends with {code}: {told}")
        return [line.split(" ", 1) for line in log.read_text().splitlines()]

    def ways_to_fail(self, call):
        if self.options.all:
            ways = [{"how": error} for error in ERRORS] + [{"how": ERRORS[0], "lasts": 1}]
        else:
            self.turn += 1
            ways = [{"how": ERRORS[self.turn % len(ERRORS)]}]
        return ways + ([{"how": "short"}] if call == "write" else [])

    def check_one(self, begun, without, call, at, path, way):
        out, code, said, told = self.run(begun, without, call=call, at=at, **way)
        what = f"{FILE_SYSTEMS[without]}, {'resumed' if begun else 'new'}: {call} no. {at} ({path}) {way}"
        try:
            self.count += 1
            self.by_code[code] += 1
            expect(code in (0, 6), f"exit code {code}: {told}")
            expect(way["how"] != "short" or code == 0, f"a short write is no failure: {told}")
            if code == 6:
                error = [line for line in told.splitlines() if line.startswith("error: ")]
                expect(error and str(out.parents[1]) in error[-1], f"the message names no file: {told}")
            now = Folder(out)
            now.check_part_of(self.whole)
            if code == 0:
                expect(sorted(now.pictures) == sorted(self.whole.pictures), "exit code 0, and pictures are lost")
            for name in said.splitlines():
                expect(pathlib.Path(name).name in now.pictures, f"{name} is printed and not there")
            again, said_again, told_again = self.batch.run(out, "--resume")
            expect(again == 0, f"the run after it ends with {again}: {told_again}")
            Folder(out).check_is(self.whole)
            if self.options.all:
                check_complete(self.batch, out, self.whole)
            both = said.splitlines() + said_again.splitlines()
            expect(len(both) == len(set(both)), "a picture is drawn twice")
        except Wrong as wrong:
            raise Wrong(f"{what}: {wrong}") from None

    def all(self):
        wrongs = []
        for without in FILE_SYSTEMS:
            for begun in False, True:
                numbers = collections.Counter()
                for call, path in self.calls(begun, without):
                    numbers[call] += 1
                    if not self.options.all and not self.is_worth_it(call, path, without):
                        continue
                    for way in self.ways_to_fail(call):
                        try:
                            self.check_one(begun, without, call, numbers[call], path, way)
                        except Wrong as wrong:
                            wrongs.append(wrong)
                            print(f"FAILED: {wrong}", flush=True)
        codes = ", ".join(f"{count} ended with {code}" for code, count in sorted(self.by_code.items()))
        print(f"{self.count} calls failed: {codes}; {len(wrongs)} faults found")
        return 1 if wrongs else 0

    @staticmethod
    def is_worth_it(call, path, without):
        """Which calls fail by default: what differs on the second and third file system is publishing alone."""
        return call not in ONLY_LOOKING and (not without or path.endswith((".png", ".tmp")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdtorch")
    parser.add_argument("library")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    try:
        with Batch(options.sdtorch, "a\nb\n") as batch:
            return Walk(options, batch).all()
    except Wrong as wrong:
        print(f"FAILED: {wrong}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
