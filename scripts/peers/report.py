"""The measurements as a table, and the goals that they are held to."""

import dataclasses
import statistics

from measuring import Samples

SECONDS = ["load", "first step", "step", "vae", "whole process"]
MIB = ["whole process: peak memory"]


def spread(values: list[float]) -> str:
    """The median, and between which values all lie."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{statistics.median(values):.3g} [{min(values):.3g}–{max(values):.3g}]"


def ratios(theirs: dict[str, float], ours: dict[str, float]) -> list[float]:
    """How many times as long as ours: round by round where they were measured side by side."""
    side_by_side = [value / ours[name] for name, value in theirs.items() if name in ours]
    return side_by_side or [statistics.median(theirs.values()) / statistics.median(ours.values())]


def ratio(samples: Samples, model: str, quantity: str, peer: str, to: str = "sdtorch") -> float | None:
    found = samples.values.get(model, {}).get(quantity, {})
    if peer not in found or to not in found:
        return None
    return statistics.median(ratios(found[peer], found[to]))


def median(samples: Samples, model: str, quantity: str, peer: str = "sdtorch") -> float | None:
    values = samples.values.get(model, {}).get(quantity, {}).get(peer)
    return statistics.median(values.values()) if values else None


@dataclasses.dataclass
class Goal:
    text: str
    value: float | None  # none: not measured
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most)


def goals(samples: Samples, features: list[str], dtype: str) -> list[Goal]:
    """Those of a CPU, by what it has."""
    made = []
    if dtype == "bf16":
        beside_diffusers, beside_openvino = (1.6, 1.4) if "amx_bf16" in features else (1.45, 1.05)
    else:
        beside_diffusers, beside_openvino = 1.0, None
    sd1 = {"samples": samples, "model": "sd1"}
    made.append(Goal("SD1.5: a step, times as quick as diffusers", ratio(**sd1, quantity="step", peer="diffusers"),
                     at_least=beside_diffusers))
    if beside_openvino:
        made.append(Goal("SD1.5: a step, times as quick as OpenVINO", ratio(**sd1, quantity="step", peer="openvino"),
                         at_least=beside_openvino))
    made.append(Goal("SD1.5: share of the machine's own product rate", median(**sd1, quantity="share of the rate"),
                     at_least=0.85))
    first, later = median(**sd1, quantity="first step"), median(**sd1, quantity="step")
    made.append(Goal("SD1.5: first step over a later one", first / later if first and later else None, at_most=1.15))
    if dtype == "bf16":
        made.append(Goal("SD1.5: VAE, times as quick as diffusers", ratio(**sd1, quantity="vae", peer="diffusers"),
                         at_least=1.6))
        made.append(Goal("SD1.5: Enter to PNG, times as quick as diffusers",
                         ratio(**sd1, quantity="whole process", peer="diffusers"), at_least=1.4))
    made.append(Goal("built-in model: times as quick as diffusers",
                     ratio(samples, "demo", "whole process", "diffusers"), at_least=8))
    made.append(Goal("built-in model: seconds", median(samples, "demo", "whole process"), at_most=0.6))
    for model, name, gigabytes in (("sd1", "SD1.5", 2.9), ("sdxl", "SDXL", 9)):
        peak = median(samples, model, "whole process: peak memory")
        made.append(Goal(f"{name}: peak memory, GB", peak * 2**20 / 1e9 if peak else None, at_most=gigabytes))
        load = median(samples, model, "memory at the end of loading")
        steady = median(samples, model, "memory between steps")
        made.append(Goal(f"{name}: memory while loading over that of the steps", load / steady if load else None,
                         at_most=1.1))
    threads = samples.values.get("sd1", {}).get("step by threads", {})
    if "-t 2" in threads:
        made.append(Goal("SD1.5: -t 2, times as quick as -t 1", ratio(**sd1, quantity="step by threads", peer="-t 1",
                                                                      to="-t 2"), at_least=1.85))
    made.append(Goal("built-in model: beside busy neighbours over alone",
                     ratio(samples, "demo", "beside a neighbour", "busy", to="alone"), at_most=10))
    return made


def model_table(samples: Samples, model: str, title: str) -> str:
    """A peer a row, a quantity a column; below its median how many times ours that is."""
    quantities = samples.values.get(model, {})
    shown = [name for name in [*SECONDS, *MIB] if name in quantities]
    peers = list(dict.fromkeys(peer for name in shown for peer in quantities[name]))
    if not shown:
        return ""
    rows = [[title, *(name + (", MiB" if name in MIB else ", s") for name in shown)]]
    for peer in peers:
        cells, times = [peer], ["  × sdtorch"]
        for name in shown:
            values = quantities[name].get(peer)
            cells.append(spread(list(values.values())) if values else "")
            ours = quantities[name].get("sdtorch")
            times.append(spread(ratios(values, ours)) if values and ours and peer != "sdtorch" else "")
        rows += [cells, times] if any(times[1:]) else [cells]
    widths = [max(len(row[i]) for row in rows) for i in range(len(shown) + 1)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows) + "\n"


def other_lines(samples: Samples, model: str) -> str:
    """What sdtorch alone was asked."""
    shown = {*SECONDS, *MIB}
    lines = [f"{model}: {quantity}: {peer}: {spread(list(values.values()))}"
             for quantity, peers in samples.values.get(model, {}).items() if quantity not in shown
             for peer, values in peers.items() if peer in ("sdtorch", "alone", "busy") or peer.startswith("-t")]
    return "".join(line + "\n" for line in lines)


def goal_lines(of: list[Goal]) -> str:
    lines = []
    for goal in of:
        wanted = f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}"
        answer = {True: "yes", False: "NO", None: "not measured"}[goal.met]
        value = "" if goal.value is None else f"{goal.value:.3g}"
        lines.append(f"{goal.text:<52} {wanted:>7} {value:>7}  {answer}")
    return "\n".join(lines) + "\n"
