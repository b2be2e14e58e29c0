"""Trajectories of the samplers and schedules that diffusion.py does not list.

cases.json and trajectories.safetensors are made as there, by diffusers' schedulers (the Brownian motion of dpm++sde by
torchsde). What diffusers does not have stands in formula_cases.json and formula_trajectories.safetensors: dpm++2s_a by
the algorithm that k-diffusion publishes, restart by its paper's and the steps that A1111 takes, dpm++3m_sde by
k-diffusion's (over torchsde's motion), heunpp2 and ipndm_v as ComfyUI has them, and Euler's method over the schedules
sgm_uniform, simple, align_your_steps, normal, kl_optimal and ddim_uniform, all in float64 from their published formulas.
start_cases.json and starts.safetensors are diffusers' image-to-image: a clean latent noised to `strength` and sampled
from there. brownian.safetensors holds increments of torchsde's motion itself.
"""

import inspect
import json
import pathlib

import diffusers
import numpy as np
import torch
import torchsde
from diffusion import (
    ALL_CLASSES,
    MORE_CLASSES,
    SCHEDULE_KEYS,
    SD1,
    SD2,
    SHAPE,
    SHORT,
    ZERO_SNR,
    make_trajectories,
    network,
    scheduler_of,
)
from safetensors.torch import save_file

ALIGN_YOUR_STEPS = {
    False: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
    True: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029],
}


def cases() -> list[dict]:
    listed = []

    def add(config: dict, sampler: str | None = None, steps=(5,), **choice):
        if sampler == "dpm++2m_sde":
            choice["overrides"] = {"algorithm_type": "sde-dpmsolver++"}
        for count in steps:
            listed.append({"config": config, "sampler": sampler, "steps": count, "seed": len(listed), **choice})

    lengths = (1, 5, 20, 50)
    no_spacing = ("dpm++2s", "ipndm", "lcm", "tcd")
    no_x0 = ("dpm2", "dpm2_a", "dpm++sde")
    for sampler, name in MORE_CLASSES.items():
        for prediction in ("epsilon", "v_prediction", "sample"):
            if prediction == "sample" and sampler in no_x0:
                continue
            config = {**SD1, "prediction_type": prediction}
            add(config, sampler, lengths)
            for spacing in ("leading", "trailing"):
                if sampler not in no_spacing:
                    add(config, sampler, (5, 20), spacing=spacing)
        algorithm = {"algorithm_type": "sde-dpmsolver++"} if sampler == "dpm++2m_sde" else {}
        bare = {"_class_name": name, **algorithm}
        add(bare, None, (5, 20))
        add({**bare, "steps_offset": 0, "clip_sample": True}, None, (5,))
        if sampler != "dpm2_a":  # of which diffusers makes numbers that are none there
            add({**SD1, "beta_schedule": "squaredcos_cap_v2"}, sampler, (5,))
        add({**SD1, "num_train_timesteps": 77}, sampler, (4, 20))
        if sampler in ("ipndm", "lcm", "tcd"):
            continue
        for schedule in SCHEDULE_KEYS:
            add(SD1, sampler, (1, 5, 20), scheduler=schedule)
            add({**SD2, SCHEDULE_KEYS[schedule]: True, "_class_name": name, **algorithm}, None, (5, 20))
            add({**SD1, "sigma_min": 0.1, "sigma_max": 10.0}, sampler, (5,), scheduler=schedule)
    for sampler in ("euler", "heun", "lms", "dpm++2m"):
        for schedule in ("exponential", "beta"):
            add(SD1, sampler, (1, 5, 20), scheduler=schedule)
            add({**SD2, SCHEDULE_KEYS[schedule]: True, "timestep_spacing": "leading"}, sampler, (5, 20))
            add({**SD1, "sigma_min": 0.1, "sigma_max": 10.0}, sampler, (5,), scheduler=schedule)
    for sampler in ("dpm++2m_sde", "unipc", "lcm", "tcd"):
        add(ZERO_SNR, sampler, (1, 5, 20))
    for sampler in ("euler", "euler_a", "dpm++2m"):  # Lightning: few steps of an ordinary model, trailing
        add({**SD1, "timestep_spacing": "trailing"}, sampler, (1, 2, 4, 8))
    limits = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
    for sampler in ("dpm++2m_sde", "dpm++2s", "unipc", "deis", "lcm"):
        add({**SD1, **limits}, sampler, (5,))
    for final in ("zero", "sigma_min"):
        for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
            if final == "zero" and not algorithm.endswith("++"):
                continue
            for order in (1, 2, 3):
                for solver_type in ("midpoint", "heun"):
                    keys = {"final_sigmas_type": final, "algorithm_type": algorithm, "solver_order": order,
                            "solver_type": solver_type}  # fmt: skip
                    if algorithm.startswith("sde") and not (algorithm == "sde-dpmsolver" and order == 3):
                        config = {**SD1, **keys, "_class_name": "DPMSolverMultistepScheduler"}
                        add(config, None, (5, 20))
                        add({**config, "lower_order_final": False, "euler_at_final": True}, None, (5,))
                    if algorithm != "sde-dpmsolver":
                        add({**SD1, **keys}, "dpm++2s", (1, 2, 3, 5, 6, 20) if solver_type == "midpoint" else (6, 20))
                        add({**SD2, **keys, "lower_order_final": True}, "dpm++2s", (6, 20))
        for order in (1, 2, 3):
            for solver_type in ("bh1", "bh2"):
                for predict_x0 in (True, False):
                    if final == "zero" and (not predict_x0 or solver_type == "bh1"):
                        continue
                    keys = {"final_sigmas_type": final, "solver_order": order, "solver_type": solver_type,
                            "predict_x0": predict_x0}  # fmt: skip
                    add({**SD1, **keys}, "unipc", (5, 20))
                    add({**SD2, **keys, "disable_corrector": [0, 2]}, "unipc", (5,))
                    if final == "sigma_min":
                        add({**SD1, **keys, "lower_order_final": False}, "unipc", (5,))
                        add({**SD1, **keys}, "unipc", (5,), scheduler="karras")
    for order in (1, 2, 3):
        add({**SD1, "solver_order": order}, "deis", (5, 20))
        add({**SD2, "solver_order": order, "lower_order_final": False}, "deis", (5,))
    add({**SD1, "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}, "dpm++2m", (5,))
    add({**SD1, "_class_name": "DPMSolverSDEScheduler", "noise_sampler_seed": 2**40 + 3}, None, (5, 20))
    add({**SD1, "lambda_min_clipped": -5.1, "beta_schedule": "squaredcos_cap_v2"}, "dpm++2s", (5,))
    for eta in (0.0, 0.3, 1.0):
        add(SD1, "tcd", (1, 4, 8), eta=eta)
    for keys in ({"original_inference_steps": 100}, {"timestep_scaling": 1.0}, {"num_train_timesteps": 60}):
        add({**SD1, **keys}, "lcm", (1, 4, 8, 30))
        add({**SD1, **keys}, "tcd", (4, 8), eta=0.3)
    levels = [14.6, 7.25, 3.5, 1.5, 0.4, 0.0]
    add(SD1, "euler", (5,), sigmas=levels)
    add(SD2, "euler", (4,), sigmas=levels[:-1])
    add({**SD1, "timestep_spacing": "leading", "use_karras_sigmas": True}, "euler", (5,), sigmas=levels)
    return listed


class Levels:
    """A model's noise levels as a continuous function of the timestep, log sigma being linear in between."""

    def __init__(self, config: dict):
        scheduler = diffusers.EulerDiscreteScheduler.from_config(config)
        alpha_bar = scheduler.alphas_cumprod.double().numpy()
        self.sigmas = np.sqrt((1 - alpha_bar) / alpha_bar)
        self.prediction = config.get("prediction_type", "epsilon")

    def sigma(self, timestep: float) -> float:
        return float(np.exp(np.interp(timestep, np.arange(len(self.sigmas)), np.log(self.sigmas))))

    def timestep(self, sigma: float) -> float:
        return float(np.interp(np.log(sigma), np.log(self.sigmas), np.arange(len(self.sigmas))))

    def x0(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        output = network(x / (sigma**2 + 1) ** 0.5, self.timestep(sigma))
        if self.prediction == "v_prediction":
            return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
        return x - sigma * output


def karras(count: int, low: float, high: float) -> list[float]:
    ramp = np.linspace(0, 1, count)
    return list((high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7) + [0.0]


def schedule(name: str, levels: Levels, steps: int, sdxl: bool) -> list[float]:
    """The levels, 0 at the end."""
    last = len(levels.sigmas) - 1
    if name == "model":  # linspace, between whole timesteps linear in sigma as in diffusers
        timesteps = np.linspace(0, last, steps)[::-1]
        return [float(s) for s in np.interp(timesteps, np.arange(last + 1), levels.sigmas)] + [0.0]
    if name == "karras":
        return karras(steps, levels.sigmas[0], levels.sigmas[-1])
    if name == "sgm_uniform":
        return [levels.sigma(t) for t in np.linspace(last, 0, steps + 1)[:-1]] + [0.0]
    if name == "simple":
        return [float(levels.sigmas[last - int(i * (last + 1) / steps)]) for i in range(steps)] + [0.0]
    if name == "normal":
        return [levels.sigma(t) for t in np.linspace(last, 0, steps)] + [0.0]
    if name == "kl_optimal":  # evenly in the arc tangent
        low, high = np.arctan(levels.sigmas[0]), np.arctan(levels.sigmas[-1])
        return [float(s) for s in np.tan(np.linspace(high, low, steps))] + [0.0]
    if name == "ddim_uniform":  # 1, 1 + stride, …, as many as there are steps
        return [float(levels.sigmas[1 + i * ((last + 1) // steps)]) for i in reversed(range(steps))] + [0.0]
    table = ALIGN_YOUR_STEPS[sdxl]
    places = np.linspace(0, len(table) - 1, steps + 1)
    return [float(s) for s in np.exp(np.interp(places, np.arange(len(table)), np.log(table)))][:-1] + [0.0]


def ancestral(sigma: float, following: float) -> tuple[float, float]:
    up = (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5
    return (following**2 - up**2) ** 0.5, up


def euler(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    for sigma, following in zip(sigmas, sigmas[1:]):
        x = x + (x - levels.x0(x, sigma)) / sigma * (following - sigma)
        yield x


def dpmpp_2s_a(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    for sigma, following in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, following)
        x0 = levels.x0(x, sigma)
        if down == 0:
            x = x + (x - x0) / sigma * (down - sigma)
        else:
            t, t_next = -np.log(sigma), -np.log(down)
            h = t_next - t
            middle = np.exp(-(t + h / 2))
            ahead = middle / sigma * x - np.expm1(-h / 2) * x0
            x = down / sigma * x - np.expm1(-h) * levels.x0(ahead, middle)
        if following > 0:
            x = x + draw() * up
        yield x


def restart(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    steps = len(sigmas) - 1
    count, times = (steps // 4, 2) if steps >= 36 else (9, 1) if steps >= 20 else (0, 0)
    if times:
        sigmas = karras(steps - count * times, sigmas[-2], sigmas[0])
    bottom, top = (int(np.argmin(np.abs(np.array(sigmas) - level))) for level in (0.1, 2))
    pairs = []
    for i, pair in enumerate(zip(sigmas, sigmas[1:])):
        pairs.append(pair)
        if times and i + 1 == bottom:
            again = [*karras(count + 1, sigmas[bottom], sigmas[top])[:-2], sigmas[bottom]]
            pairs += list(zip(again, again[1:])) * times
    last = None
    for sigma, following in pairs:
        if last is not None and last < sigma:
            x = x + draw() * (sigma**2 - last**2) ** 0.5
        slope = (x - levels.x0(x, sigma)) / sigma
        if following > 0:
            ahead = x + slope * (following - sigma)
            slope = (slope + (ahead - levels.x0(ahead, following)) / following) / 2
        x = x + slope * (following - sigma)
        last = following
        yield x


def slope(levels: Levels, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return (x - levels.x0(x, sigma)) / sigma


def dpmpp_3m_sde(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    low = min(sigma for sigma in sigmas if sigma > 0)
    motion = torchsde.BrownianInterval(
        t0=low, t1=sigmas[0], size=x.shape[1:], dtype=torch.float32, entropy=draw.seed, tol=1e-6, pool_size=24,
        halfway_tree=True,
    )  # fmt: skip
    x0s, lengths = [], []  # newest last
    for sigma, following in zip(sigmas, sigmas[1:]):
        x0s.append(levels.x0(x, sigma))
        if following == 0:
            yield x0s[-1]
            return
        h = np.log(sigma / following)
        lengths.append(h)
        z = 2 * h  # eta is 1
        phi_2 = np.expm1(-z) / z + 1
        phi_3 = phi_2 / z - 0.5
        x = np.exp(-z) * x - np.expm1(-z) * x0s[-1]
        if len(lengths) == 2:
            x = x + phi_2 * (x0s[-1] - x0s[-2]) / (lengths[-2] / h)
        if len(lengths) > 2:
            r0, r1 = lengths[-2] / h, lengths[-3] / h
            near, far = (x0s[-1] - x0s[-2]) / r0, (x0s[-2] - x0s[-3]) / r1
            bend = (near - far) / (r0 + r1)
            x = x + phi_2 * (near + bend * r0) - phi_3 * bend
        noise = -motion(following, sigma).double() / (sigma - following) ** 0.5
        x = x + noise * following * (-np.expm1(-2 * h)) ** 0.5
        yield x


def heunpp2(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    for i in range(len(sigmas) - 1):
        ahead = sigmas[i + 1 : i + 3] if i + 3 < len(sigmas) else sigmas[i + 1 : -1]  # never the last level
        slopes, point, at = [slope(levels, x, sigmas[i])], x, sigmas[i]
        for level in ahead:
            point, at = point + slopes[-1] * (level - at), level
            slopes.append(slope(levels, point, at))
        weights = [level / ((1 + len(ahead)) * sigmas[0]) for level in ahead]
        mean = (1 - sum(weights)) * slopes[0] + sum(w * d for w, d in zip(weights, slopes[1:]))
        x = x + mean * (sigmas[i + 1] - sigmas[i])
        yield x


def ipndm_v(levels: Levels, x: torch.Tensor, sigmas: list[float], draw):
    d = []  # newest first
    for i in range(len(sigmas) - 1):
        x0 = levels.x0(x, sigmas[i])
        if sigmas[i + 1] == 0:
            yield x0
            return
        d.insert(0, (x - x0) / sigmas[i])
        h = [sigmas[i - k + 1] - sigmas[i - k] for k in range(min(i, 3) + 1)]  # this step's first
        weights = [1.0]
        if i >= 1:
            weights = [1 + h[0] / h[1] / 2, -h[0] / h[1] / 2]
        if i >= 2:
            second = (1 - h[0] ** 2 / (3 * h[1] * (h[1] + h[2]))) / 2
            ratio = h[1] / h[2]
            weights = [weights[0] + second, weights[1] - (1 + ratio) * second, ratio * second]
        if i >= 3:
            third = (1 - h[0] / (3 * (h[0] + h[1]))) / 2
            third += (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * (h[0] + h[1] + h[2]))
            third *= h[0] * (h[0] + h[1]) * (h[0] + h[1] + h[2])
            third /= h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3])
            far = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
            weights = [weights[0] + third, weights[1] - (1 + ratio + far) * third,
                       weights[2] + (ratio + far * (1 + h[2] / h[3])) * third, -far * ratio * third]  # fmt: skip
        x = x + h[0] * sum(w * e for w, e in zip(weights, d))
        yield x


FORMULAS = {"euler": euler, "dpm++2s_a": dpmpp_2s_a, "restart": restart}
LATER_FORMULAS = {"dpm++3m_sde": dpmpp_3m_sde, "heunpp2": heunpp2, "ipndm_v": ipndm_v}
ROUND_LEVELS = [14.5, 9.0, 6.0, 4.0, 2.5, 1.5, 0.75, 0.375, 0.125, 0.0]  # the same numbers in fp32, for the motion


def formula_cases() -> list[dict]:
    listed = []
    for config in (SD1, SD2):
        for sampler in FORMULAS:
            for name in ("model", "karras", "sgm_uniform", "simple", "align_your_steps"):
                if sampler == "euler" and name in ("model", "karras"):
                    continue
                for steps in (1, 4, 10, 20, 40):
                    case = {"config": config, "sampler": sampler, "steps": steps, "seed": len(listed)}
                    listed.append({**case, "scheduler": name})
                    if name == "align_your_steps":
                        listed.append({**case, "scheduler": name, "sdxl": True, "seed": len(listed)})

    def add(sampler: str, steps: int, **choice):
        listed.append({"config": config, "sampler": sampler, "steps": steps, "seed": len(listed), **choice})

    for config in (SD1, SD2):
        for name in ("normal", "kl_optimal", "ddim_uniform"):
            for steps in (1, 4, 10, 20, 30):
                add("euler", steps, scheduler=name)
        for sampler in ("heunpp2", "ipndm_v"):
            for name in ("normal", "karras", "kl_optimal"):
                for steps in (1, 2, 3, 4, 10, 20):
                    add(sampler, steps, scheduler=name)
        for sampler in LATER_FORMULAS:
            for count in (1, 2, 3, 4, 5, len(ROUND_LEVELS) - 1):
                add(sampler, count, sigmas=ROUND_LEVELS[:count] + [0.0])
    return listed


def run_formula(case: dict) -> dict[str, torch.Tensor]:
    levels = Levels(case["config"])
    sigmas = case.get("sigmas") or schedule(case["scheduler"], levels, case["steps"], case.get("sdxl", False))
    generator = torch.Generator("cpu").manual_seed(case["seed"])

    def draw() -> torch.Tensor:
        return torch.randn(SHAPE, generator=generator).double()

    draw.seed = case["seed"]
    latents = list((FORMULAS | LATER_FORMULAS)[case["sampler"]](levels, draw() * sigmas[0], sigmas, draw))
    return {"latents": torch.stack(latents if case["steps"] <= SHORT else latents[-1:]).float()}


def make_formulas(out: pathlib.Path) -> None:
    listed = formula_cases()
    tensors = {}
    for number, case in enumerate(listed):
        tensors |= {f"{number:03}.{name}": value.contiguous() for name, value in run_formula(case).items()}
    (out / "formula_cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")
    save_file(tensors, out / "formula_trajectories.safetensors")


def start_cases() -> list[dict]:
    listed = []

    def add(config: dict, sampler: str, strengths=(0.25, 0.5, 0.8, 1.0), **choice):
        if sampler == "dpm++2m_sde":
            choice["overrides"] = {"algorithm_type": "sde-dpmsolver++"}
        for strength in strengths:
            case = {"config": config, "sampler": sampler, "steps": 10, "seed": len(listed), "strength": strength}
            listed.append({**case, **choice})

    for sampler in ALL_CLASSES:
        if sampler == "ipndm":  # diffusers' cannot noise a picture
            continue
        for config in (SD1, SD2):
            add(config, sampler)
    for sampler in ("pndm", "heun", "dpm++2m"):  # the first steps, and the last alone
        add(SD1, sampler, (0.1, 0.2, 0.9))
    for sampler in ("euler", "heun", "dpm2", "dpm++2m", "dpm++2s", "dpm++sde", "unipc", "lms"):
        add(SD1, sampler, (0.6,), scheduler="karras")
    for sampler in ("ddim", "euler", "dpm++2m", "ddpm"):
        add({**SD2, "timestep_spacing": "trailing"}, sampler, (0.6,))
    add(SD1, "ddim", (0.6,), eta=1.0)
    return listed


def run_start(case: dict) -> dict[str, torch.Tensor]:
    """The loop of StableDiffusionImg2ImgPipeline around a clean latent, both of which the generator draws first."""
    scheduler = scheduler_of(case)
    scheduler.set_timesteps(case["steps"])
    if isinstance(scheduler, diffusers.DPMSolverSDEScheduler):
        scheduler.noise_sampler_seed = case["seed"]
    taken = min(int(case["steps"] * case["strength"]), case["steps"])
    first = max(case["steps"] - taken, 0) * scheduler.order
    timesteps = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    parameters = inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if "generator" in parameters else {}
    if "eta" in parameters:
        extra["eta"] = case.get("eta", 0.0)
    x0, noise = torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    x = start = scheduler.add_noise(x0, noise, timesteps[:1])
    for t in timesteps:
        output = network(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(output, t, x, return_dict=False, **extra)[0]
    assert x.isfinite().all(), case
    return {"timesteps": timesteps.double(), "start": start, "latent": x}


def make_starts(out: pathlib.Path) -> None:
    listed = start_cases()
    tensors = {}
    for number, case in enumerate(listed):
        tensors |= {f"{number:03}.{name}": value.contiguous() for name, value in run_start(case).items()}
    (out / "start_cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")
    save_file(tensors, out / "starts.safetensors")


def make_brownian(out: pathlib.Path) -> None:
    tensors = {}
    for seed in (0, 1, 2**32, 2**64 - 1):
        for start, end in ((0.029167, 14.614647), (0.5, 4096.0)):
            tree = torchsde.BrownianInterval(
                t0=start, t1=end, size=(4, 3, 2), dtype=torch.float32, entropy=seed, tol=1e-6, pool_size=24,
                halfway_tree=True,
            )  # fmt: skip
            for low, high in ((1.0, 2.0), (start, end), (0.7123456789, 0.7123461), (3.3, 14.6), (start, 0.51)):
                tensors[f"{seed},{start},{end},{low},{high}"] = tree(low, high)
            words = np.random.SeedSequence(entropy=seed, spawn_key=(int(end), 2**33 + 5), pool_size=24)
            tensors[f"words,{seed},{int(end)}"] = torch.from_numpy(words.generate_state(4).astype(np.int64))
    save_file(tensors, out / "brownian.safetensors")


def make(out: pathlib.Path) -> None:
    diffusers.logging.set_verbosity_error()
    make_trajectories(out, cases())
    make_formulas(out)
    make_starts(out)
    make_brownian(out)
