"""The measurements: who runs when, and what is kept of it."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

from installation import HERE, ROOT, Model, say
from processes import ByTurns, PeerFailed, Whole
from worker import PROMPT

# Memory that a peer needs beside others: a multiple of the weights at 16 bits, and gigabytes of its own.
MEMORY = {"sdtorch": (1.4, 0.8), "diffusers": (1.6, 1.2), "openvino": (1.6, 1.5), "compile": (1.8, 2)}


@dataclasses.dataclass
class Setup:
    sdtorch: str
    python: str | None
    sdcpp: str | None
    dtype: str
    threads: int
    repeats: int
    steps: int  # of a whole process
    later: int  # steps after the first, where each step is measured
    networks: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)  # model → OpenVINO's
    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)  # model → one file


class Samples:
    """Seconds (or MiB) by model, quantity, peer and round, in the order of measuring. What was measured side by side has
    one round's name."""

    def __init__(self):
        self.values: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        self.failures: list[dict[str, str]] = []

    def add(self, model: str, quantity: str, peer: str, round_name: str, value: float) -> None:
        self.values.setdefault(model, {}).setdefault(quantity, {}).setdefault(peer, {})[round_name] = value

    def fail(self, model: str, what: str, peer: str, error: Exception) -> None:
        text = str(error).strip()
        say(f"warning: {model}: {what}: {peer} failed: {text[-600:]}")
        self.failures.append({"model": model, "what": what, "peer": peer, "error": text})


def rotated(peers: list, by: int) -> list:
    """Another one first each time, so that nobody always follows the same."""
    by %= max(len(peers), 1)
    return peers[by:] + peers[:by]


def environment(setup: Setup) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(setup.threads)}


def command(setup: Setup, peer: str, model: str, folder: pathlib.Path, size: int | None, steps: int | None, *more: str,
            threads: int | None = None, sampler: str = "euler") -> list[str]:
    """A peer's command line; more: what is said to that peer alone."""
    threads = threads or setup.threads
    sizes = ["--width", str(size), "--height", str(size)] if size else []
    step_flags = ["--steps", str(steps)] if steps else []
    if peer == "sdtorch":
        euler = ["--sampler", "euler"] if sampler == "euler" else []
        return [setup.sdtorch, *more, "-m", str(folder), "-p", PROMPT, "--dtype", setup.dtype, "-t", str(threads),
                "-q", *sizes, *step_flags, *euler]
    if peer == "sdcpp":
        return [setup.sdcpp, "-m", str(setup.files[model]), "-p", PROMPT, "-t", str(threads), "--sampling-method",
                "euler", "--cfg-scale", "7.5", "-s", "42", *sizes, *step_flags, *more]
    networks = ["--networks", str(setup.networks[model])] if peer == "openvino" else []
    return [setup.python, str(HERE / "worker.py"), "--peer", peer, "--model", str(folder), "--dtype", setup.dtype,
            "--threads", str(threads), "--sampler", sampler, *sizes, *step_flags, *networks, *more]


def available_gigabytes() -> float:
    with open("/proc/meminfo", encoding="utf-8") as info:
        return int(re.search(r"^MemAvailable:\s+(\d+)", info.read(), re.MULTILINE).group(1)) / 1e6


def groups_of(peers: list[str], model: Model) -> list[list[str]]:
    """Who is loaded at once: sdtorch with as many others as memory holds with a fifth to spare; where it does not hold
    even two, everybody alone."""
    room = 0.8 * available_gigabytes()
    needed = {peer: MEMORY[peer][0] * model.gigabytes + MEMORY[peer][1] for peer in peers}
    groups: list[list[str]] = []
    for peer in peers:
        if peer == "sdtorch":
            continue
        if groups and sum(needed[other] for other in groups[-1]) + needed[peer] <= room:
            groups[-1].append(peer)
        else:
            groups.append(["sdtorch", peer])
    if all(sum(needed[peer] for peer in group) <= room for group in groups):
        return groups or [["sdtorch"]]
    return [[peer] for peer in peers]


def measure_steps(setup: Setup, samples: Samples, model: Model, folder: pathlib.Path, size: int,
                  peers: list[str], output: pathlib.Path) -> None:
    """First step, later ones, VAE and loading. Peers that are loaded together take turns step by step."""
    for repeat in range(setup.repeats):
        groups = groups_of([peer for peer in peers if peer != "sdcpp"], model)
        for number, group in enumerate(rotated(groups, repeat)):
            say(f"{model.name}: steps, {repeat + 1} of {setup.repeats}: {', '.join(group)}")
            letter = "abcd"[number] if len(group) > 1 else ""
            sessions: dict[str, ByTurns] = {}
            try:
                _measure_group(setup, samples, model, folder, size, group, sessions, f"{repeat + 1}{letter}")
            finally:
                for session in sessions.values():
                    session.end()
        if "sdcpp" in peers:
            _measure_sdcpp(setup, samples, model, size, str(repeat + 1), output)


def _measure_group(setup, samples, model, folder, size, group, sessions, round_name) -> None:
    def measure(peer: str, part: str, quantity: str, step: int = 0) -> None:
        if peer not in sessions:
            return
        try:
            seconds = sessions[peer].turns_until(part)
        except PeerFailed as error:
            samples.fail(model.name, quantity, peer, error)
            del sessions[peer]
            return
        samples.add(model.name, quantity, peer, f"{round_name}.{step}" if step else round_name, seconds)

    for peer in group:
        more = ["bench"] if peer == "sdtorch" else []
        line = command(setup, peer, model.name, folder, size, setup.later + 1, *more) + ["--by-turns"]
        sessions[peer] = ByTurns(line, environment(setup))
        measure(peer, "load", "load")
    for peer in group:
        measure(peer, "step", "first step")
    for step in range(setup.later):
        for peer in rotated(group, step):
            measure(peer, "step", "step", step + 1)
    for peer in group:
        if peer != "compile":  # its VAE is diffusers' own
            measure(peer, "vae", "vae")
    for peer, session in sessions.items():
        samples.add(model.name, "memory at the end of loading", peer, round_name, session.load_peak_mib)
        samples.add(model.name, "memory between steps", peer, round_name, session.steady_mib)


def _measure_sdcpp(setup, samples, model, size, round_name, output) -> None:
    """It says itself how long it sampled and decoded; one step, since that takes minutes."""
    line = command(setup, "sdcpp", model.name, pathlib.Path(), size, 1, "-v", "-o",
                   str(output / "sdcpp.png"))
    try:
        said = Whole(line, environment(setup)).said
    except (PeerFailed, OSError) as error:
        samples.fail(model.name, "step", "sdcpp", error)
        return
    for quantity, pattern in (("step", r"sampling completed, taking ([\d.]+)s"),
                              ("vae", r"(?:decode_first_stage completed|latents? \d+ decoded), taking ([\d.]+)s")):
        found = re.search(pattern, said)
        if found:
            samples.add(model.name, quantity, "sdcpp", round_name, float(found.group(1)))


def measure_whole(setup: Setup, samples: Samples, model: Model, folder: pathlib.Path, size: int, peers: list[str],
                  output: pathlib.Path) -> None:
    """From Enter to the PNG, and the most memory on the way."""
    for repeat in range(setup.repeats):
        for peer in rotated(peers, repeat):
            say(f"{model.name}: whole process of {setup.steps} steps, {repeat + 1} of {setup.repeats}: {peer}")
            written = ["-o" if peer in ("sdtorch", "sdcpp") else "--output", str(output / f"{peer}.png")]
            _measure_whole_once(setup, samples, model.name, peer, repeat,
                                command(setup, peer, model.name, folder, size, setup.steps, *written))


def _measure_whole_once(setup, samples, name, peer, repeat, line, quantity="whole process") -> None:
    try:
        whole = Whole(line, environment(setup))
    except (PeerFailed, OSError) as error:
        samples.fail(name, quantity, peer, error)
        return
    samples.add(name, quantity, peer, str(repeat + 1), whole.seconds)
    samples.add(name, f"{quantity}: peak memory", peer, str(repeat + 1), whole.peak_mib)


def measure_rate(setup: Setup, samples: Samples, model: Model, folder: pathlib.Path, size: int) -> None:
    """What this machine could do, by sdtorch bench --profile."""
    for repeat in range(setup.repeats):
        say(f"{model.name}: the machine's own rate, {repeat + 1} of {setup.repeats}")
        line = command(setup, "sdtorch", model.name, folder, size, 1 + min(setup.later, 3), "bench", "--json", "--profile")
        try:
            said = Whole(line, environment(setup)).said
        except PeerFailed as error:
            samples.fail(model.name, "rate", "sdtorch", error)
            return
        profile = json.loads(said.strip().splitlines()[-1])["profile"]
        found = {"GFLOP a step": profile["step"]["flops"] / 1e9,
                 "GFLOP/s of the machine": profile["product_flops_per_s"] / 1e9,
                 "floor of a step": profile["floor_s"], "share of the rate": profile["share_of_rate"]}
        for quantity, value in found.items():
            samples.add(model.name, quantity, "sdtorch", str(repeat + 1), value)


def measure_threads(setup: Setup, samples: Samples, model: Model, folder: pathlib.Path, size: int) -> None:
    """sdtorch on one thread beside itself on all of them, step by step."""
    counts = [1, setup.threads]
    for repeat in range(setup.repeats):
        say(f"{model.name}: threads, {repeat + 1} of {setup.repeats}")
        sessions: dict[int, ByTurns] = {}
        try:
            for count in counts:
                line = command(setup, "sdtorch", model.name, folder, size, setup.later + 1, "bench", threads=count)
                sessions[count] = ByTurns(line + ["--by-turns"], {"OMP_NUM_THREADS": str(count)})
                sessions[count].turns_until("step")
            for i in range(setup.later):
                for count in rotated(counts, i):
                    samples.add(model.name, "step by threads", f"-t {count}", f"{repeat + 1}.{i + 1}",
                                sessions[count].turns_until("step"))
        except PeerFailed as error:
            samples.fail(model.name, "threads", "sdtorch", error)
            return
        finally:
            for session in sessions.values():
                session.end()


def measure_demo(setup: Setup, samples: Samples, peers: list[str], output: pathlib.Path) -> None:
    """The built-in model's default run, by its own sampler and size, beside a script that does the same."""
    for repeat in range(max(setup.repeats, 3)):
        for peer in rotated(peers, repeat):
            written = ["-o" if peer == "sdtorch" else "--output", str(output / f"demo-{peer}.png")]
            _measure_whole_once(setup, samples, "demo", peer, repeat,
                                command(setup, peer, "demo", ROOT / "models/demo", None, None, *written, sampler="model"))


def measure_neighbour(setup: Setup, samples: Samples, output: pathlib.Path) -> None:
    """The same run alone, and with another program on each of the cores."""
    line = command(setup, "sdtorch", "demo", ROOT / "models/demo", None, None, "-o", str(output / "busy.png"),
                   sampler="model")
    for repeat in range(max(setup.repeats, 3)):
        _measure_whole_once(setup, samples, "demo", "alone", repeat, line, "beside a neighbour")
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(setup.threads)]
        try:
            _measure_whole_once(setup, samples, "demo", "busy", repeat, line, "beside a neighbour")
        finally:
            for process in busy:
                process.kill()
                process.wait()
