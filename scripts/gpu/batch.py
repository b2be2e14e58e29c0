#!/usr/bin/env python3
"""What batch work promises, on a GPU: docs/batch.md, as tests/batch holds it on a CPU.

usage: batch.py SDTORCH --models DIR [--kills N] [--only NAME…]

Several GPUs are one that is listed twice (two_of_one.cpp, compiled here). Memory runs out because another process holds
the rest. DIR holds the random model sd1 of full size in fp16 (sdtorch init-model). A line a test; exit 1 where one fails.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/batch"))

from batch import MODEL, ROOT, Batch, Folder, check_complete, expect, finish, runs_tests, wait_for_picture

GPU = "--device cuda --deterministic"

HOLD = """
import sys, torch
left = int(sys.argv[1])
torch.zeros(1, device="cuda")
free = torch.cuda.mem_get_info()[0]
held = torch.empty(max(free - left, 0), dtype=torch.uint8, device="cuda")
print(torch.cuda.mem_get_info()[0], flush=True)
sys.stdin.read()
"""


class Held:
    """All of the GPU's memory but so many bytes, as long as it lives."""

    def __init__(self, left):
        self.left = left

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, str(self.left)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.free = int(self.process.stdout.readline() or -1)
        expect(self.free >= 0, "the GPU's memory could not be held")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def children(parent):
    """Processes whose parent it is."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(file.parent.name))
    return found


class OnGpu:
    def __init__(self, options, area):
        self.sdtorch, self.models, self.area, self.kills = options.sdtorch, options.models, area, options.kills

    def run(self, *flags, seconds=120, env=None):
        """Exit code, stdout and stderr."""
        process = subprocess.Popen([self.sdtorch, *map(str, flags)], env={**os.environ, **(env or {})}, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        return finish(process, seconds)

    def full(self, *flags, **more):
        return self.run("-m", self.models / "sd1", "--device", "cuda", "--sampler", "euler", *flags, **more)

    def two(self):
        """The variables that make two GPUs of one."""
        library = self.area / "two_of_one.so"
        if not library.exists():
            subprocess.run(["g++", "-shared", "-fPIC", "-O1", str(HERE / "two_of_one.cpp"), "-o", str(library), "-ldl"],
                           check=True)
        return {"LD_PRELOAD": str(library), "CUDA_VISIBLE_DEVICES": "0,0"}

    def prompts(self, count):
        return "".join(f"a boat no. {number}\n" for number in range(count))

    def pool(self):
        """two workers, of which one is killed, draw what one process draws; so does cuda:all"""
        os.environ["SDTORCH_BATCH_FLAGS"] = "--deterministic"
        with Batch(self.sdtorch, self.prompts(40), steps=8) as batch:
            batch.flags += ["--device", "cuda"]
            whole = batch.clean()
            del batch.flags[-2:]  # each run names its own
            for name, devices in ("listed", "cuda:0,cuda:1"), ("all", "cuda:all"):
                out = batch.area / name
                process = batch.start(out, "--device", devices, env=self.two())
                wait_for_picture(out, process, 6)
                workers = children(process.pid)
                expect(len(workers) == 2, f"{devices}: {len(workers)} workers")
                if name == "listed":
                    os.kill(workers[0], signal.SIGKILL)
                code, said, told = finish(process)
                expect(code == 0, f"{devices}: exit {code}: {told}")
                expect(name == "all" or "a worker" in told, f"the death is not told: {told}")
                check_complete(batch, out, whole)
            out = batch.area / "alone"
            code, _, told = batch.run(out, "--device", "cuda:all")
            expect(code == 0, f"cuda:all of one GPU: {told}")
            check_complete(batch, out, whole)
            code, _, told = batch.run(batch.area / "none", "--device", "cuda:7")
            expect(code == 2 and "cuda:7" in told, f"cuda:7: {code} {told}")

    def killed(self):
        """kills -9 and resumes lose nothing"""
        environment = dict(os.environ, SDTORCH_BATCH_FLAGS=GPU)
        done = subprocess.run([sys.executable, str(ROOT / "tests/batch/kills.py"), self.sdtorch, "--kills", str(self.kills)],
                              env=environment, capture_output=True, text=True)
        expect(done.returncode == 0, done.stdout + done.stderr)
        return done.stdout.splitlines()[-1] + " "

    def signals(self):
        """SIGTERM ends a run behind the batch in flight, and --resume goes on"""
        os.environ["SDTORCH_BATCH_FLAGS"] = GPU
        with Batch(self.sdtorch, self.prompts(40), steps=30) as batch:
            whole = batch.clean()
            out = batch.area / "told"
            process = batch.start(out)
            wait_for_picture(out, process, 3)
            process.send_signal(signal.SIGTERM)
            code, _, told = finish(process)
            expect(code == 143, f"exit {code}: {told}")
            expect(0 < len(Folder(out).pictures) < 40, "it has not ended early")
            code, _, told = batch.run(out, "--resume")
            expect(code == 0, told)
            check_complete(batch, out, whole)

    def weights_without_memory(self):
        """a model for which the GPU has no memory is refused before it is loaded"""
        out = self.area / "no-weights"
        with Held(1 << 30) as held:
            code, _, told = self.full("-p", "a lake", "--outdir", out, "--steps", 2)
        expect(code == 7 and "cuda:0" in told, f"exit {code} with {held.free} bytes: {told}")
        expect(not list(out.glob("*.png")), "a picture, all the same")
        return f"({told.strip().splitlines()[-1]}) "

    def draw_short_of_memory(self, name, count, size):
        """The prompt file, the folder, and what was told."""
        prompts, out = self.area / f"{name}.txt", self.area / name
        prompts.write_text(self.prompts(count))
        with Held(int(4.5e9)):
            code, said, told = self.full("--from-file", prompts, "--outdir", out, "--steps", 2, "--batch-size", size)
        expect(code == 0 and len(said.splitlines()) == count, f"exit {code}: {told}")
        return prompts, out, told

    def batch_without_memory(self):
        """a batch for which the GPU has no memory is drawn in halves, and all of it is drawn"""
        prompts, out, told = self.draw_short_of_memory("halves", 64, 64)
        expect("in halves" in told, f"nothing was said: {told}")
        verified = self.run("verify", out, "--from-file", prompts, "--batch-size", 64)
        expect(verified[0] == 0, f"{verified}")
        return f"({told.count('in halves')} times) "

    def automatic(self):
        """--batch-size auto takes no more pictures at once than there is memory for"""
        _, _, told = self.draw_short_of_memory("automatic", 32, "auto")
        expect("out of memory" not in told, f"it took too many: {told}")

    def vae_without_memory(self):
        """a VAE for which the GPU has no memory decodes in tiles, which is recorded, and the picture is the same"""
        flags = ["-p", "a lake", "--steps", 2, "-W", 1536, "-H", 1536, "--seed", 3]
        whole, tiled = self.area / "whole.png", self.area / "tiled.png"
        code, _, told = self.full(*flags, "-o", whole)
        expect(code == 0, told)
        with Held(int(5.5e9)):
            code, _, told = self.full(*flags, "-o", tiled)
        expect(code == 0 and "tiles" in told, f"exit {code}: {told}")
        shown = self.run("inspect", tiled)[1]
        expect("tiles" in shown, f"not recorded: {shown}")
        from PIL import Image
        import numpy
        a, b = (numpy.asarray(Image.open(file), dtype=int) for file in (whole, tiled))
        apart = abs(a - b)
        expect(apart.max() <= 8 and apart.mean() < 0.5, f"apart by {apart.max()}, {apart.mean():.3f} in the mean")
        return f"(apart by {apart.max()} at most, {apart.mean():.3f} in the mean; {told.strip().splitlines()[-1]}) "

    def no_picture_at_all(self):
        """where not even one picture fits, exit 7 and no PNG"""
        out = self.area / "none"
        with Held(int(3.4e9)):
            code, _, told = self.full("-p", "a lake", "--outdir", out, "--steps", 2, "-W", 4096, "-H", 4096)
        expect(code == 7, f"exit {code}: {told}")
        expect(not list(out.glob("*.png")), "a picture, all the same")
        return f"({told.strip().splitlines()[-1]}) "

    def too_large_for_fp16(self):
        """what is not finite in fp16 is drawn again in fp32, and recorded"""
        import shutil
        from safetensors.torch import load_file, save_file
        model = self.area / "loud"
        shutil.copytree(MODEL, model)
        file = next((model / "unet").glob("*.safetensors"))
        weights = load_file(file)
        weights["conv_in.weight"] *= 1e6
        weights["conv_in.bias"] *= 1e6
        save_file(weights, file, metadata={"format": "pt"})
        png = self.area / "loud.png"
        code, _, told = self.run("-m", model, "--device", "cuda", "--dtype", "fp16", "--steps", 3, "-p", "a boat", "-o", png)
        expect(code == 0 and "fp32" in told, f"exit {code}: {told}")
        expect("fp32" in self.run("inspect", png)[1], "not recorded")

    def rate(self):
        """pictures a minute: a file, and a process a prompt"""
        prompts = self.area / "rate.txt"
        prompts.write_text(self.prompts(128))
        minutes = {}
        for size in "auto", "1":
            begun = time.monotonic()
            code, said, told = self.full("--from-file", prompts, "--outdir", self.area / f"rate-{size}", "--steps", 20,
                                         "--batch-size", size)
            expect(code == 0 and len(said.splitlines()) == 128, told)
            minutes[f"a file, --batch-size {size}"] = 128 * 60 / (time.monotonic() - begun)
        begun = time.monotonic()
        for number in range(3):
            expect(self.full("-p", f"a boat no. {number}", "--outdir", self.area / "rate-alone", "--steps", 20)[0] == 0, "")
        minutes["a process a prompt"] = 3 * 60 / (time.monotonic() - begun)
        return f"{json.dumps({name: round(rate) for name, rate in minutes.items()})} "

    def tests(self):
        return [self.pool, self.signals, self.weights_without_memory, self.batch_without_memory, self.automatic,
                self.vae_without_memory, self.no_picture_at_all, self.too_large_for_fp16, self.rate, self.killed]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdtorch")
    parser.add_argument("--models", required=True, type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sdtorch-gpu-batch-") as area:
        tests = OnGpu(options, pathlib.Path(area)).tests()
        return runs_tests([test for test in tests if not options.only or test.__name__ in options.only])


if __name__ == "__main__":
    sys.exit(main())
