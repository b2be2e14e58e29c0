#!/usr/bin/env python3
"""SIGINT and SIGTERM in the middle of a prompt file: the first lets the picture in flight finish, the second drops it.

usage: signals.py SDTORCH
"""

import itertools
import signal
import statistics
import sys
import time

from batch import Batch, Folder, check_complete, expect, finish, runs_tests, wait_for_picture

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals:
    def __init__(self, batch):
        self.batch, self.whole = batch, batch.clean()
        times = sorted((self.whole.path / name).stat().st_mtime for name in self.whole.pictures)
        self.picture = statistics.median(b - a for a, b in itertools.pairwise(times))  # seconds

    def begin(self, name, share=1 / 3):
        """A run that has written a picture and has drawn such a share of the next."""
        out = self.batch.area / name
        process = self.batch.start(out)
        wait_for_picture(out, process)
        time.sleep(self.picture * share)
        return out, process

    def check_left(self, out, said, least):
        """So many pictures or one more, recorded and printed, and nothing else."""
        now = Folder(out)
        now.check_part_of(self.whole)
        expect(not now.others, f"left behind: {now.others}")
        expect(len(now.pictures) == len(now.records) == len(said.splitlines()),
               f"{len(now.pictures)} pictures, {len(now.records)} recorded, {said!r} printed")
        expect(len(now.pictures) in (least, least + 1), f"{len(now.pictures)} pictures, {least} or one more expected")

    def check_resume(self, out):
        code, _, told = self.batch.run(out, "--resume")
        expect(code == 0, f"the resumed run ends with {code}: {told}")
        check_complete(self.batch, out, self.whole)

    def one(self, number):
        out, process = self.begin(f"one-{number}")
        before = len(Folder(out).pictures)
        process.send_signal(number)
        code, said, told = finish(process)
        expect(code == CODES[number], f"exit code {code}: {told}")
        expect("ends after the pictures in flight" in told, f"it does not tell: {told}")
        self.check_left(out, said, before + 1)
        self.check_resume(out)

    def two(self, first, second):
        """On a busy machine the picture in flight may be finished before the second signal comes: then once more."""
        for turn in range(5):
            out, process = self.begin(f"two-{first}-{second}-{turn}", share=turn / 8)
            before = len(Folder(out).pictures)
            process.send_signal(first)
            time.sleep(self.picture / 20)
            process.send_signal(second)
            code, said, told = finish(process)
            expect(code in (CODES[first], CODES[second]), f"exit code {code}: {told}")
            self.check_left(out, said, before)
            self.check_resume(out)
            if code == CODES[second]:
                return
        expect(False, f"exit code {code}: {told}")

    def one_interrupt(self):
        """SIGINT once: the picture in flight is finished and recorded, exit code 130, a resume completes"""
        self.one(signal.SIGINT)

    def one_termination(self):
        """SIGTERM once: the same, exit code 143"""
        self.one(signal.SIGTERM)

    def two_interrupts(self):
        """SIGINT twice: the picture in flight is dropped, nothing half-written, a resume completes"""
        self.two(signal.SIGINT, signal.SIGINT)

    def two_terminations(self):
        """SIGTERM twice: the same"""
        self.two(signal.SIGTERM, signal.SIGTERM)

    def both(self):
        """SIGINT, then SIGTERM: the same"""
        self.two(signal.SIGINT, signal.SIGTERM)

    def the_last(self):
        """SIGTERM while the only picture that is left is drawn: it is finished as the others are"""
        for turn in range(5):  # it may be finished before the signal comes
            out = self.batch.area / f"last-{turn}"
            process = self.batch.start(out, "--shard", f"0/{len(self.whole.pictures)}", "--json")
            while '"step"' not in process.stderr.readline():
                expect(process.poll() is None, "it draws nothing")
            process.send_signal(signal.SIGTERM)
            code, _, told = finish(process)
            if code:
                break
        expect(code == CODES[signal.SIGTERM], f"exit code {code}: {told}")
        now = Folder(out)
        now.check_part_of(self.whole)
        expect(len(now.pictures) == len(now.records) == 1, f"{len(now.pictures)} pictures, {len(now.records)} recorded")

    def while_waiting(self):
        """SIGINT while a run waits for another: it ends at once, and the other goes on"""
        out, first = self.begin("waiting")
        second = self.batch.start(out, "--wait")
        while "waiting" not in second.stderr.readline():
            expect(second.poll() is None, "the second does not wait")
        second.send_signal(signal.SIGINT)
        code, said, told = finish(second)
        expect(code == 130 and not said, f"exit code {code}: {told}")
        code, _, told = finish(first)
        expect(code == 0, f"the first ends with {code}: {told}")
        check_complete(self.batch, out, self.whole)

    def at_any_moment(self):
        """signals at moments from the start on: each ends with 0 or its own code, and a resume completes"""
        for turn in range(9):
            out = self.batch.area / f"any-{turn}"
            number = [signal.SIGINT, signal.SIGTERM][turn % 2]
            process = self.batch.start(out)
            time.sleep(self.whole.seconds * turn / 8)
            process.send_signal(number)
            if turn % 3 == 2:
                process.send_signal(number)
            code, said, told = finish(process)
            # Before Python's child is sdtorch, a signal ends it as it ends any process.
            expect(code in (0, CODES[number], -number), f"exit code {code}: {told}")
            now = Folder(out)
            now.check_part_of(self.whole)
            expect(len(now.records) == len(now.pictures) == len(said.splitlines()),
                   f"{len(now.pictures)} pictures, {len(now.records)} recorded, {said!r} printed")
            self.check_resume(out)

    def tests(self):
        return [self.one_interrupt, self.one_termination, self.two_interrupts, self.two_terminations, self.both,
                self.the_last, self.while_waiting, self.at_any_moment]


def main():
    # Steps enough that there is a middle of a picture.
    with Batch(sys.argv[1], "a\nb\nc\nd\ne\n", steps=60) as batch:
        return runs_tests(Signals(batch).tests())


if __name__ == "__main__":
    sys.exit(main())
