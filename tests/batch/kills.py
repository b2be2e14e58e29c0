#!/usr/bin/env python3
"""Kills sdtorch -9 again and again while it draws a prompt file, resumes it each time, and looks at what it leaves.

usage: kills.py SDTORCH [--kills N] [--seed S] [--faults LIBRARY]

After each kill: no picture is torn, doubled or another than it should be, and what the journal tells of is there. Once a
folder is complete, it is byte for byte that of a run which nobody disturbed, `sdtorch verify` is content, nothing is
left of the kills, and no path was printed twice.

Kills come at random moments, from the start of a process until after its last picture, and many of them just when a file
appears or the journal grows. With --faults, the library of failing_calls.cpp, some folders are of a file system without
nameless files (O_TMPFILE), some without hard links, and some processes end just before or after one of the calls by
which a picture is published. A quarter of the folders is filled by two shards that work, and are killed, at once.
"""

import argparse
import collections
import random
import sys
import time

from batch import Batch, Folder, Watch, Wrong, check_complete, expect, finish

PICTURES = 40
PUBLISHING = ["open", "open-nameless", "write", "fsync", "link", "rename", "unlink", "close", "flock"]
FILE_SYSTEMS = ["", "tmpfile", "tmpfile,link"]


def prompts():
    """Some of them alike, of which each is to be drawn."""
    return "".join(f"a boat no. {number % 31}\n" for number in range(PICTURES))


class Kills:
    def __init__(self, options, batch):
        self.options, self.batch, self.random = options, batch, random.Random(options.seed)
        self.whole = batch.clean()
        self.begins = self.seconds_until_drawing()
        self.done, self.resumes, self.folders, self.sharded = collections.Counter(), 0, 0, 0
        self.has_shards = batch.has_flag("--shard")

    def seconds_until_drawing(self):
        begun = time.monotonic()
        finish(self.batch.start(self.batch.area / "clean", "--resume"))
        return time.monotonic() - begun

    def file_system(self):
        """What the next folder's has not."""
        return self.random.choice(FILE_SYSTEMS) if self.options.faults else ""

    def faults(self, out, without):
        if not self.options.faults:
            return {}
        return {"LD_PRELOAD": self.options.faults, "SDTORCH_FAULT_FOLDER": str(out), "SDTORCH_FAULT_WITHOUT": without}

    def kill_at_a_time(self, out, flags, faults):
        picture = (self.whole.seconds - self.begins) / PICTURES
        until = self.begins + picture * self.random.randint(0, 12)
        process = self.batch.start(out, *flags, env=faults)
        time.sleep(self.random.uniform(0, until))
        process.kill()
        return process

    def kill_at_an_event(self, out, flags, faults):
        out.mkdir(exist_ok=True)
        watch = Watch(out)
        process = self.batch.start(out, *flags, env=faults)
        events = self.random.randint(1, 25)
        while process.poll() is None and events:
            events -= watch.next(0.05) is not None
        if self.random.random() < 0.5:
            time.sleep(self.random.uniform(0, 0.002))
        process.kill()
        watch.close()
        return process

    def end_at_a_call(self, out, flags, faults):
        call, at = self.random.choice(PUBLISHING), self.random.randint(1, 25)
        how = self.random.choice(["kill-before", "kill-after"])
        return self.batch.start(out, *flags, env={**faults, "SDTORCH_FAULT_CALL": call, "SDTORCH_FAULT_AT": str(at),
                                                  "SDTORCH_FAULT_HOW": how})

    def fill_a_folder(self):
        """Kills and resumes until it is complete."""
        out = self.batch.area / f"out-{self.folders}"
        faults = self.faults(out, self.file_system())
        printed = collections.Counter()
        # By one process, or by two shards that are killed together; what each is begun with.
        sharded = self.has_shards and self.random.random() < 0.25
        left = [["--shard", "0/2"], ["--shard", "1/2"]] if sharded else [[]]
        ways = [self.kill_at_a_time, self.kill_at_an_event] + ([self.end_at_a_call] if self.options.faults else [])
        begun = False
        while left:
            self.random.shuffle(left)
            beside = [self.batch.start(out, *flags, env=faults) for flags in left[1:]]
            if sum(self.done.values()) < self.options.kills:
                way = self.random.choice(ways)
                process = way(out, left[0], faults)
                for other in beside:
                    other.kill()
            else:
                way, process = None, self.batch.start(out, *left[0], env=faults)
            self.resumes += begun
            results = [finish(one) for one in [process, *beside]]
            for code, said, told in results:
                expect(code in (0, -9), f"a run ends with {code}: {told}")
                printed.update(said.split("\n")[:-1])
                if code == -9:
                    self.done[way.__name__.replace("_", " ")] += 1
            now = Folder(out)
            now.check_part_of(self.whole)
            recorded = {str(out / record["path"]) for record in now.records}
            expect(set(printed) <= recorded, f"printed and not recorded: {set(printed) - recorded}")
            left = [flags for flags, (code, _, _) in zip(left, results) if code != 0]
            if not sharded:
                left = [["--resume"] for _ in left]
            begun = True
        if sharded:
            self.sharded += 1
            expect(self.batch.verify(out, "--join").returncode == 0, "the shards' journals are not joined")
        check_complete(self.batch, out, self.whole)
        expect(all(count == 1 for count in printed.values()), f"printed twice: {printed.most_common(3)}")
        self.folders += 1

    def all(self):
        begun = time.monotonic()
        while sum(self.done.values()) < self.options.kills:
            self.fill_a_folder()
        minutes = (time.monotonic() - begun) / 60
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.done.items()))
        print(f"{sum(self.done.values())} kills ({ways}), {self.resumes} resumes, {self.folders} folders "
              f"({self.sharded} by two shards), "
              f"{self.folders * PICTURES} pictures, {minutes:.1f} minutes: nothing torn, lost, doubled or left behind")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdtorch")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--faults", default="")
    options = parser.parse_args()
    options.seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {options.seed}", flush=True)  # first: what repeats a fault
    try:
        with Batch(options.sdtorch, prompts()) as batch:
            Kills(options, batch).all()
    except Wrong as wrong:
        print(f"FAILED: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
