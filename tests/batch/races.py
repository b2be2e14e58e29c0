#!/usr/bin/env python3
"""Several processes in one folder at once.

usage: races.py SDTORCH
"""

import collections
import signal
import sys

from batch import Batch, Folder, check_complete, expect, finish, runs_tests, wait_for, wait_for_picture

RACERS = 10


class Races:
    def __init__(self, batch):
        self.batch, self.whole = batch, batch.clean()

    def begin(self, name):
        """A folder in which a run works, which goes on once it is told to."""
        out = self.batch.area / name
        first = self.batch.start(out)
        wait_for_picture(out, first)
        first.send_signal(signal.SIGSTOP)
        return out, first

    @staticmethod
    def go_on(first):
        first.send_signal(signal.SIGCONT)
        code, _, told = finish(first)
        expect(code == 0, f"the first ends with {code}: {told}")

    def second_leaves(self):
        """a second run in a folder leaves with 11, and the first is not disturbed"""
        out, first = self.begin("left")
        for flags in [], ["--resume"]:
            code, said, told = self.batch.run(out, *flags)
            expect(code == 11 and not said, f"the second ends with {code}: {told}")
            expect(str(out) in told, f"it does not say where: {told}")
        expect(self.batch.verify(out, "--join").returncode == 11, "journals are joined while a run works")
        self.go_on(first)
        check_complete(self.batch, out, self.whole)

    def second_waits(self):
        """with --wait a second run waits, and adds its pictures after"""
        out, first = self.begin("waited")
        second = self.batch.start(out, "--wait")
        while "waiting" not in second.stderr.readline():
            expect(second.poll() is None, "the second does not wait")
        self.go_on(first)
        code, said, told = finish(second)
        count = len(self.whole.pictures)
        expect(code == 0 and len(said.splitlines()) == count, f"the second ends with {code}: {told}")
        now = Folder(out)
        expect(sorted(record["index"] for record in now.records) == list(range(2 * count)), "indices that do not follow")
        for name, data in self.whole.pictures.items():
            expect(now.pictures[name] == data, f"{name} of the first was touched")
        verified = self.batch.verify(out)
        expect(verified.returncode == 0 and f"{2 * count} of {2 * count} " in verified.stdout, verified.stdout)

    def many_resume(self):
        """ten processes resume one killed run with --wait: nothing is doubled"""
        out, first = self.begin("resumed")
        first.kill()
        finish(first)
        racers = [self.batch.start(out, "--resume", "--wait") for _ in range(RACERS)]
        printed = collections.Counter()
        for racer in racers:
            code, said, told = finish(racer)
            expect(code == 0, f"one ends with {code}: {told}")
            printed.update(said.splitlines())
        expect(all(count == 1 for count in printed.values()), f"printed twice: {printed}")
        check_complete(self.batch, out, self.whole)

    def many_begin(self):
        """ten processes begin in a new folder at once: one gets it, the others leave with 11"""
        out = self.batch.area / "begun"
        codes = collections.Counter(finish(racer)[0] for racer in [self.batch.start(out) for _ in range(RACERS)])
        # A racer that comes after the winner's end adds a run of its own.
        expect(codes[0] >= 1 and codes[0] + codes[11] == RACERS, f"exit codes: {codes}")
        now = Folder(out)
        count = codes[0] * len(self.whole.pictures)
        expect(sorted(record["index"] for record in now.records) == list(range(count)), "doubled or lost")
        expect(self.batch.verify(out).returncode == 0, "sdtorch verify is not content")

    def two_resume_nothing(self):
        """two that resume an empty folder at once, and draw their seeds, agree on the seeds of one"""
        for number in range(4):
            out = self.batch.area / f"nothing-{number}"
            both = [self.batch.start(out, "--resume", "--wait", "--seed", "-1") for _ in range(2)]
            for one in both:
                code, _, told = finish(one)
                expect(code == 0, f"one ends with {code}: {told}")
            expect(len(Folder(out).pictures) == len(self.whole.pictures), "doubled or lost")
            verified = self.batch.verify(out, "--join")
            expect(verified.returncode == 0, f"sdtorch verify: {verified.stdout}{verified.stderr}")

    def shards(self):
        """two shards work in one folder at once, and a run without shards leaves it to them"""
        if not self.batch.has_flag("--shard"):
            return "left out: this sdtorch has no --shard "
        out = self.batch.area / "shards"
        shards = [self.batch.start(out, "--shard", f"{index}/2") for index in range(2)]
        # The other's pictures do not tell that this one holds the folder.
        wait_for(lambda: (out / "sdtorch.jobs.0-of-2.jsonl").exists(), shards[0], "no journal comes")
        shards[0].send_signal(signal.SIGSTOP)
        expect(self.batch.run(out)[0] == 11, "a run without shards goes between them")
        expect(self.batch.run(out, "--shard", "0/3")[0] == 11, "another number of shards goes between them")
        shards[0].send_signal(signal.SIGCONT)
        for shard in shards:
            code, _, told = finish(shard)
            expect(code == 0, f"a shard ends with {code}: {told}")
        Folder(out).check_is(self.whole)
        expect(self.batch.verify(out, "--join").returncode == 0, "the shards' journals are not joined")
        check_complete(self.batch, out, self.whole)

    def shards_of_two_files(self):
        """shares of two prompt files that begin in one folder at once keep out of one another's numbers"""
        other = self.batch.area / "other.txt"
        other.write_text(self.batch.prompts.read_text().replace("boat", "lake"))
        for number in range(6):
            out = self.batch.area / f"files-{number}"
            out.mkdir()
            (out / "00007-42-of-no-run.png").write_bytes(next(iter(self.whole.pictures.values())))
            # A share's journal is one file's at a time: --wait has each wait for the other file's share of its number.
            shares = [self.batch.start(out, "--shard", f"{index}/2", "--wait", prompts=prompts)
                      for index in range(2) for prompts in ([None, other] if index else [other, None])]
            ended = [finish(share) for share in shares]
            for code, _, told in ended:
                expect(code == 0, f"a share ends with {code}: {told}")
            indices = sorted(record["index"] for record in Folder(out).records)
            expect(indices == list(range(2 * len(self.whole.pictures))), f"doubled or lost: {indices}")
            for prompts in None, other:
                verified = self.batch.verify(out, *(["--join"] if prompts else []), prompts=prompts)
                expect(verified.returncode == 0, f"sdtorch verify: {verified.stdout}{verified.stderr}")

    def tests(self):
        return [self.second_leaves, self.second_waits, self.many_resume, self.many_begin, self.two_resume_nothing, self.shards,
                self.shards_of_two_files]


def main():
    prompts = "".join(f"a boat no. {number}\n" for number in range(12))
    with Batch(sys.argv[1], prompts, steps=3) as batch:
        return runs_tests(Races(batch).tests())


if __name__ == "__main__":
    sys.exit(main())
