"""What the tests of batch work share: runs of sdtorch over a prompt file, and what must hold of the folder they fill."""

import ctypes
import hashlib
import json
import os
import pathlib
import select
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/golden/pipeline/models/sd1"
JOURNAL = "sdtorch.jobs.jsonl"
PATIENCE = 120  # seconds that no run here takes


class Wrong(Exception):
    """Something that was promised does not hold."""


def expect(holds, what):
    if not holds:
        raise Wrong(what)


def check_png(name, data):
    """A whole PNG: its chunks, their CRCs, its end, and as many pixels as it says."""
    expect(data[:8] == b"\x89PNG\r\n\x1a\n", f"{name}: no PNG")
    at, packed, size, last = 8, b"", None, None
    while at < len(data):
        expect(at + 12 <= len(data), f"{name}: torn at {at}")
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        body = data[at + 8:at + 8 + length]
        expect(at + 12 + length <= len(data), f"{name}: torn in {kind}")
        expect(struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body),
               f"{name}: CRC of {kind}")
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if kind == b"IDAT":
            packed += body
        at, last = at + 12 + length, kind
    expect(last == b"IEND", f"{name}: torn before its end")
    expect(len(zlib.decompress(packed)) == size[1] * (1 + 3 * size[0]), f"{name}: not all of its pixels")


class Batch:
    """A prompt file, and runs over it into folders."""

    def __init__(self, sdtorch, prompts, steps=1):
        self.sdtorch = sdtorch
        self.area = pathlib.Path(tempfile.mkdtemp(prefix="sdtorch-batch-"))
        self.prompts = self.area / "prompts.txt"
        self.prompts.write_text(prompts)
        # SDTORCH_BATCH_FLAGS: what else each run is given, such as another device.
        more = shlex.split(os.environ.get("SDTORCH_BATCH_FLAGS", ""))
        self.flags = ["--steps", str(steps), "--cfg-scale", "1", "-t", "1", *more]
        self.environment = dict(os.environ, OMP_NUM_THREADS="1")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            shutil.rmtree(self.area, ignore_errors=True)
        else:
            print(f"what is left of it: {self.area}", file=sys.stderr)

    def command(self, out, *more, prompts=None):
        return [self.sdtorch, "-m", str(MODEL), "--from-file", str(prompts or self.prompts), "--outdir", str(out),
                *self.flags, *more]

    def start(self, out, *more, env=None, prompts=None, **popen):
        """prompts: another file than the batch's own."""
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **popen}
        return subprocess.Popen(self.command(out, *more, prompts=prompts), env={**self.environment, **(env or {})}, text=True, **popen)

    def run(self, out, *more, env=None, **popen):
        """Its exit code, stdout and stderr."""
        return finish(self.start(out, *more, env=env, **popen))

    def verify(self, out, *more, prompts=None):
        return subprocess.run([self.sdtorch, "verify", str(out), "--from-file", str(prompts or self.prompts), *more],
                              env=self.environment, capture_output=True, text=True, timeout=PATIENCE)

    def has_flag(self, flag):
        told = subprocess.run([self.sdtorch, "--help"], env=self.environment, capture_output=True, text=True)
        return flag in told.stdout

    def clean(self):
        """The folder as a run fills it that nothing disturbs: what all others are compared with."""
        out = self.area / "clean"
        begun = time.monotonic()
        code, said, told = self.run(out)
        expect(code == 0, f"the undisturbed run ends with {code}: {told}")
        whole = Folder(out)
        whole.seconds = time.monotonic() - begun
        expect(len(said.splitlines()) == len(whole.pictures), "the undisturbed run does not print its pictures")
        for name, data in whole.pictures.items():
            check_png(name, data)
        expect(sorted(line["path"] for line in whole.records) == sorted(whole.pictures), "its journal lacks some")
        return whole


def finish(process, patience=PATIENCE):
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Wrong(f"a run does not end: {process.args}")
    return process.returncode, out or "", err or ""


class Folder:
    """What a folder holds at one moment. A journal's last line may be torn; all others are to be read."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.pictures, self.others, self.lines, self.torn_line = {}, [], [], False
        names = sorted(os.listdir(path)) if self.path.is_dir() else []
        # Journals first: what they tell of must be there then.
        for name in names:
            if name.startswith("sdtorch.jobs."):
                self.read_journal(name)
        for name in names:
            if name.endswith(".png"):
                self.pictures[name] = (self.path / name).read_bytes()
            elif not name.startswith("sdtorch.jobs."):
                self.others.append(name)
        self.records = [line for line in self.lines if "sha256" in line]

    def read_journal(self, name):
        text = (self.path / name).read_bytes().decode()
        lines = text.split("\n")
        self.torn_line |= bool(lines.pop())
        for number, line in enumerate(lines, 1):
            try:
                self.lines.append(json.loads(line))
            except ValueError as error:
                raise Wrong(f"{name}: line {number} cannot be read: {error}: {line[:200]!r}") from None

    def check_part_of(self, whole):
        """Nothing in it is torn, doubled, another than it should be, or told of and not there."""
        for name, data in self.pictures.items():
            check_png(name, data)
            expect(name in whole.pictures, f"{name} is one picture too many")
            expect(data == whole.pictures[name], f"{name} is not the picture of an undisturbed run")
        for key in "index", "path":
            values = [record[key] for record in self.records]
            expect(len(values) == len(set(values)), f"the journal has one {key} twice: {sorted(values)}")
        for record in self.records:
            expect(record in whole.records, f"no record of an undisturbed run: {record}")
            expect(record["path"] in self.pictures, f"{record['path']} is in the journal and not in the folder")
            expect(hashlib.sha256(self.pictures[record["path"]]).hexdigest() == record["sha256"],
                   f"{record['path']}: its SHA-256 is not the journal's")
        for name in self.others:
            expect(name.startswith(".sdtorch-") and name.endswith(".tmp"), f"{name}: a file that nobody asked for")

    def check_is(self, whole):
        """It is what an undisturbed run leaves."""
        self.check_part_of(whole)
        expect(not self.others, f"left behind: {self.others}")
        expect(sorted(self.pictures) == sorted(whole.pictures),
               f"lost: {sorted(set(whole.pictures) - set(self.pictures))}")
        expect(not self.torn_line, "the journal's last line is torn")
        key = lambda record: record["index"]
        expect(sorted(self.records, key=key) == sorted(whole.records, key=key), "the journal lacks pictures")


def check_complete(batch, out, whole):
    """And `sdtorch verify` says so, too."""
    Folder(out).check_is(whole)
    verified = batch.verify(out)
    expect(verified.returncode == 0, f"sdtorch verify: {verified.returncode}: {verified.stdout}{verified.stderr}")
    count = len(whole.pictures)
    expect(verified.stdout == f"{count} of {count} pictures are as they should be\n", f"verify: {verified.stdout}")


class Watch:
    """Tells of what happens in a folder at once, by inotify."""
    CREATE, MOVED_TO, MODIFY = 0x100, 0x80, 0x2

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.file = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        expect(self.file >= 0, "no inotify")
        libc.inotify_add_watch(self.file, os.fsencode(folder), self.CREATE | self.MOVED_TO | self.MODIFY)
        self.left = b""

    def close(self):
        os.close(self.file)

    def next(self, seconds):
        """The name of the next file that appears or grows; None once the time is over."""
        end = time.monotonic() + seconds
        while not self.left:
            if not select.select([self.file], [], [], max(0, end - time.monotonic()))[0]:
                return None
            self.left = os.read(self.file, 65536)
        _, _, _, length = struct.unpack("iIII", self.left[:16])
        name, self.left = self.left[16:16 + length].rstrip(b"\0"), self.left[16 + length:]
        return os.fsdecode(name)


def wait_for(holds, process, what):
    """Until something holds, while a process works."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if holds():
            return
        time.sleep(0.005)
    raise Wrong(f"{what}: {finish(process)}")


def wait_for_picture(out, process, count=1):
    """Until so many pictures lie in the folder."""
    wait_for(lambda: out.is_dir() and sum(name.endswith(".png") for name in os.listdir(out)) >= count, process,
             f"no {count} pictures come")


def runs_tests(tests):
    """Runs what is given, each with a line; the exit code."""
    failed = 0
    for test in tests:
        begun = time.monotonic()
        try:
            told = test() or ""
            print(f"ok: {test.__doc__.splitlines()[0]} {told}({time.monotonic() - begun:.1f} s)", flush=True)
        except Wrong as wrong:
            failed += 1
            print(f"FAILED: {test.__doc__.splitlines()[0]}: {wrong}", flush=True)
    return 1 if failed else 0
