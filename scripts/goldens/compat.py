"""What other tools draw from a seed, computed from their published rules in float64: nothing here is theirs or ours.

noise.safetensors: Philox 4x32-10 (Salmon et al. 2011) and Box and Muller's transformation in the order of a CUDA
device's draws; A1111's start noise with variations and with another size's, and what its generators give afterwards;
ComfyUI's draws for a whole batch. trajectories.safetensors: latents of whole runs over a closed-form network, and cases.json what was asked for.
pictures.safetensors: whole pictures of the area pipeline's tiny model, whose networks are diffusers' and transformers'.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torchsde
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

SEEDS = (0, 42, 2**32 + 5, 2**64 - 1)
SHAPES = ((4, 8, 8), (9, 5, 7), (4, 3, 1), (3, 4, 6, 5))
CONFIG = {"_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012,
          "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "timestep_spacing": "leading",
          "steps_offset": 1}
SHAPE = (4, 4, 6)


# Random numbers

def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Section 3.3 of the paper. counter: uint64 [4, n], each below 2^32."""
    mask = np.uint64(0xFFFFFFFF)
    c = [row.astype(np.uint64) for row in counter]
    k = [np.uint64(key[0]), np.uint64(key[1])]
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        shift = np.uint64(32)
        c = [(second >> shift) ^ c[1] ^ k[0], second & mask, (first >> shift) ^ c[3] ^ k[1], first & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(c)


class Cuda:
    """torch's generator on a CUDA device: thread i makes element i; each draw is the next counter of every thread."""

    def __init__(self, seed: int):
        self.key = (seed & 0xFFFFFFFF, seed >> 32)
        self.draws = 0

    def randn(self, shape) -> torch.Tensor:
        n = math.prod(shape)
        counter = np.zeros((4, n), np.uint64)
        counter[0] = self.draws
        counter[2] = np.arange(n)
        self.draws += 1
        words = philox(counter, self.key).astype(np.float64)
        radius = np.sqrt(-2 * np.log((words[0] + 0.5) / 2**32))
        angle = 2 * np.pi * (words[1] + 0.5) / 2**32
        return torch.from_numpy((radius * np.sin(angle)).reshape(shape))


class Cpu:
    def __init__(self, seed: int):
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def randn(self, shape) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator).double()


SOURCES = {"cpu": Cpu, "cuda": Cuda}


# A1111 (modules/rng.py)

def a1111_slerp(share: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    cos = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if cos.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = torch.acos(cos)
    weight = lambda part: (torch.sin(part * angle) / torch.sin(angle)).unsqueeze(1)
    return weight(1 - share) * low + weight(share) * high


class A1111:
    def __init__(self, source: str, seed: int, shape, ensd=0, subseed=None, strength=0.0, other=None):
        self.make, self.seed, self.shape = SOURCES[source], seed, tuple(shape)
        self.ensd, self.subseed, self.strength, self.other = ensd, subseed, strength, other
        self.generator = self.make(seed)

    def first(self) -> torch.Tensor:
        shape = (self.shape[0], *self.other) if self.other else self.shape
        noise = self.make(self.seed).randn(shape)
        own = self.generator.randn(self.shape)
        if self.strength:
            noise = a1111_slerp(self.strength, noise, self.make(self.subseed).randn(shape))
        if shape != self.shape:
            noise = self.placed(own, noise)
        if self.ensd:
            self.generator = self.make((self.seed + self.ensd) % 2**64)
        return noise

    @staticmethod
    def placed(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The other size's noise in the middle, by whole numbers that are rounded down."""
        ranges = []
        for own, other in zip(x.shape[1:], noise.shape[1:]):
            d = (own - other) // 2
            ranges.append((max(d, 0), max(-d, 0), other if d >= 0 else other + 2 * d))
        (ty, fy, h), (tx, fx, w) = ranges
        x = x.clone()
        x[:, ty:ty + h, tx:tx + w] = noise[:, fy:fy + h, fx:fx + w]
        return x

    def next(self) -> torch.Tensor:
        return self.generator.randn(self.shape)


def make_noise() -> dict[str, torch.Tensor]:
    tensors = {}
    for seed in SEEDS:
        for number, shape in enumerate(SHAPES):
            generator = Cuda(seed)
            tensors[f"philox.{seed}.{number}"] = torch.stack([generator.randn(shape) for _ in range(3)])
    cases = {
        "plain": {}, "ensd": {"ensd": 31337}, "ensd_back": {"ensd": 2**64 - 5},
        "variation": {"subseed": 9, "strength": 0.3}, "same_variation": {"subseed": 5, "strength": 0.25},
        "all_variation": {"subseed": 9, "strength": 1.0},
        "larger": {"other": (9, 12)}, "smaller": {"other": (3, 4)}, "mixed": {"other": (3, 9)},
        "all": {"ensd": 31337, "subseed": 9, "strength": 0.3, "other": (9, 5)},
    }
    for source in SOURCES:
        for name, case in cases.items():
            rng = A1111(source, 5, (4, 6, 8), **case)
            tensors[f"a1111.{source}.{name}"] = torch.stack([rng.first(), rng.next(), rng.next()])
        whole = SOURCES[source](7)
        later = SOURCES[source](7 + 1)
        tensors[f"comfy.{source}"] = torch.stack(
            [whole.randn((3, 4, 5, 7)), later.randn((3, 4, 5, 7)), later.randn((3, 4, 5, 7))])
    return tensors


# Noise levels

def training_sigmas() -> np.ndarray:
    betas = np.linspace(CONFIG["beta_start"] ** 0.5, CONFIG["beta_end"] ** 0.5, 1000) ** 2
    alphas = np.cumprod(1 - betas)
    return np.sqrt((1 - alphas) / alphas).astype(np.float32).astype(np.float64)  # as the tools keep them


SIGMAS = training_sigmas()
LOGS = np.log(SIGMAS)


def sigma_of(t) -> np.ndarray:
    """k-diffusion's and ComfyUI's: linear in log sigma between whole timesteps."""
    return np.exp(np.interp(t, np.arange(1000), LOGS))


def timestep_of(sigma: float, rounding: str) -> float:
    if rounding == "nearest":
        return float(np.abs(np.log(sigma) - LOGS).argmin())
    return float(np.interp(np.log(sigma), LOGS, np.arange(1000)))


def karras(n: int) -> np.ndarray:
    first, last = SIGMAS[-1] ** (1 / 7), SIGMAS[0] ** (1 / 7)
    return (first + np.linspace(0, 1, n) * (last - first)) ** 7


AYS = np.array([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029])


def spread(levels: np.ndarray, n: int) -> np.ndarray:
    return np.exp(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(levels)), np.log(levels)))


def levels(tool: str, schedule: str, n: int) -> np.ndarray:
    """With the last level, as the tool's own function of that schedule returns them."""
    from scipy.stats import beta

    end = [0.0]
    if schedule == "normal":
        body = sigma_of(np.linspace(999, 0, n))
    elif schedule == "karras":
        body = karras(n)
    elif schedule == "exponential":
        body = np.exp(np.linspace(LOGS[-1], LOGS[0], n))
    elif schedule == "sgm_uniform":
        body = sigma_of(np.linspace(999, 0, n + 1)[:-1])
    elif schedule == "simple":
        body = np.array([SIGMAS[-(1 + int(i * (1000 / n)))] for i in range(n)])
    elif schedule == "ddim_uniform":
        body = SIGMAS[1::max(1000 // n, 1)][::-1]
    elif schedule == "beta" and tool == "comfy":
        whole = np.rint(beta.ppf(1 - np.linspace(0, 1, n, endpoint=False), 0.6, 0.6) * 999).astype(int)
        body = SIGMAS[[t for i, t in enumerate(whole) if i == 0 or t != whole[i - 1]]]
    elif schedule == "beta":
        body = SIGMAS[0] + beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (SIGMAS[-1] - SIGMAS[0])
    elif schedule == "kl_optimal":
        count = n + 1 if tool == "a1111" else n
        both = np.tan(np.linspace(np.arctan(SIGMAS[-1]), np.arctan(SIGMAS[0]), count))
        body, end = (both[:-1], both[-1:]) if tool == "a1111" else (both, end)
    elif schedule == "align_your_steps":
        body = spread(AYS, n) if tool == "a1111" else spread(AYS, n + 1)[:-1]
    return np.append(body, end)


AUTOMATIC = {"dpm++2m": "karras", "dpm++sde": "karras", "dpm++2m_sde": "exponential", "dpm++3m_sde": "exponential",
             "dpm2": "karras", "dpm2_a": "karras", "dpm++2s_a": "karras"}
DISCARDS = {"a1111": ("dpm2", "dpm2_a", "dpm++3m_sde"), "comfy": ("dpm2", "dpm2_a"), "sdcpp": ()}


def schedule_of(tool: str, sampler: str, schedule: str, steps: int) -> np.ndarray:
    if schedule == "model":
        schedule = AUTOMATIC.get(sampler, "normal") if tool == "a1111" else "normal"
    chosen = levels(tool, schedule, steps)
    if sampler in DISCARDS[tool]:
        longer = levels(tool, schedule, steps + 1)
        chosen = np.append(longer[:-2], longer[-1:])
    return chosen.astype(np.float32).astype(np.float64)


# Runs

def network(x: torch.Tensor, timestep: float) -> torch.Tensor:
    """As scripts/goldens/diffusion.py has it, at unit variance."""
    return 0.7 * math.cos(timestep * 1e-3) * x + 0.3 * torch.sin(2 * x)


def halfway_in_fp32(sigma: float, following: float) -> float:
    t, end = (-torch.tensor(level, dtype=torch.float32).log() for level in (sigma, following))
    return float((-(t + (end - t) * 0.5)).exp())


def ancestral(sigma: float, following: float) -> tuple[float, float]:
    up = min(following, math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


class Motion:
    """k-diffusion's BrownianTreeNoiseSampler over torchsde, one tree a seed, or one for a whole batch."""

    def __init__(self, source: str, seed: int, shape, sigmas: np.ndarray):
        levels = torch.tensor(sigmas[sigmas > 0], dtype=torch.float32)
        randn = SOURCES[source]
        hidden = torchsde._brownian.brownian_interval._randn
        if source == "cuda":  # as A1111 puts its own generator into torchsde
            torchsde._brownian.brownian_interval._randn = (
                lambda size, dtype, device, seed: randn(int(seed)).randn(size).to(dtype))
        self.restore = lambda: setattr(torchsde._brownian.brownian_interval, "_randn", hidden)
        self.tree = torchsde.BrownianTree(levels.min(), torch.zeros(shape), levels.max(), entropy=seed)

    def __call__(self, sigma: float, following: float) -> torch.Tensor:
        a, b = (torch.tensor(value, dtype=torch.float32) for value in (sigma, following))
        return (-self.tree(torch.minimum(a, b), torch.maximum(a, b)) / (a - b).abs().sqrt()).double()


def run(tool: str, sampler: str, sigmas: np.ndarray, start: torch.Tensor, draw, motion, model=network) -> torch.Tensor:
    """k-diffusion's samplers. draw: the next unit noise of start's shape."""
    rounding = "nearest" if tool == "comfy" else "none"

    def denoised(x: torch.Tensor, sigma: float, rounding: str) -> torch.Tensor:
        return x - sigma * model(x / math.sqrt(sigma**2 + 1), timestep_of(sigma, rounding))

    x = start
    before = None
    for i, (sigma, following) in enumerate(zip(sigmas[:-1].tolist(), sigmas[1:].tolist())):
        x0 = denoised(x, sigma, rounding)
        slope = (x - x0) / sigma
        if sampler == "euler":
            x = x + slope * (following - sigma)
        elif sampler == "euler_a":
            down, up = ancestral(sigma, following)
            x = x + slope * (down - sigma)
            if following > 0:
                x = x + draw() * up
        elif sampler == "dpm2_a":
            down, up = ancestral(sigma, following)
            if down == 0:
                x = x + slope * (down - sigma)
            else:
                middle = math.exp((math.log(sigma) + math.log(down)) / 2)
                ahead = x + slope * (middle - sigma)
                x = x + (ahead - denoised(ahead, middle, rounding)) / middle * (down - sigma) + draw() * up
        elif sampler == "dpm2":
            if following == 0:
                x = x + slope * (following - sigma)
            else:
                middle = math.exp((math.log(sigma) + math.log(following)) / 2)
                ahead = x + slope * (middle - sigma)
                x = x + (ahead - denoised(ahead, middle, rounding)) / middle * (following - sigma)
        elif sampler == "dpm++2m":
            if before is None or following == 0:
                mixed = x0
            else:
                last, h_last = before
                h = math.log(sigma / following)
                mixed = x0 + (x0 - last) * h / (2 * h_last)
            x = following / sigma * x + (1 - following / sigma) * mixed
            before = (x0, math.log(sigma / following)) if following > 0 else None
        elif sampler == "dpm++2m_sde":
            if following == 0:
                x = x0
            else:
                h = math.log(sigma / following)
                rest = -math.expm1(-2 * h)
                x = following / sigma * math.exp(-h) * x + rest * x0
                if before is not None:
                    last, h_last = before
                    x = x + 0.5 * rest * h / h_last * (x0 - last)
                x = x + motion(sigma, following) * following * math.sqrt(rest)
                before = (x0, h)
        elif sampler == "dpm++sde":
            if following == 0:
                x = x + slope * (following - sigma)
            else:
                middle = halfway_in_fp32(sigma, following)  # where the motion is asked, to the last digit
                down, up = ancestral(sigma, middle)
                ahead = down / sigma * x + (1 - down / sigma) * x0 + motion(sigma, middle) * up
                second = denoised(ahead, middle, rounding)
                down, up = ancestral(sigma, following)
                x = down / sigma * x + (1 - down / sigma) * second + motion(sigma, following) * up
    return x


def a1111_case(case: dict) -> torch.Tensor:
    tool, source = case["compat"], case.get("rng", "cuda")
    sigmas = schedule_of(tool, case["sampler"], case.get("scheduler", "model"), case["steps"])
    rng = A1111(source, case["seed"], SHAPE, ensd=case.get("ensd", 0))
    noise = rng.first()
    motion = Motion(source, case["seed"], SHAPE, sigmas)
    x = run(tool, case["sampler"], sigmas, noise * sigmas[0], rng.next, motion)
    motion.restore()
    return x


def comfy_case(case: dict) -> torch.Tensor:
    """The picture is slice `slice` of `slices` drawn at once."""
    source, slices = case.get("sampler-rng", "cpu"), case.get("slices", 1)
    sigmas = schedule_of("comfy", case["sampler"], case.get("scheduler", "model"), case["steps"])
    noise = Cpu(case["seed"]).randn((slices, *SHAPE))
    most = math.isclose(SIGMAS[-1], sigmas[0], rel_tol=1e-5) or sigmas[0] > SIGMAS[-1]
    x = noise * (math.sqrt(1 + sigmas[0] ** 2) if most else sigmas[0])
    later = SOURCES[source](case["seed"] + (1 if source == "cpu" else 0))
    motion = Motion(source, case["seed"], x.shape, sigmas)
    x = run("comfy", case["sampler"], sigmas, x, lambda: later.randn(x.shape), motion)
    motion.restore()
    return x[case.get("slice", 0)]


def cases() -> list[dict]:
    listed = []
    for sampler in ("euler", "euler_a", "dpm2", "dpm2_a", "dpm++2m", "dpm++2m_sde", "dpm++sde"):
        for steps in (4, 10):  # whole timesteps: where a level lies halfway, the last digit decides which is the nearest
            for compat in ("a1111", "comfy"):
                fewer = compat == "comfy" and sampler in DISCARDS["comfy"]  # so that its levels are as many
                listed.append({"compat": compat, "sampler": sampler, "steps": steps - fewer, "seed": len(listed)})
    for schedule in ("karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta", "kl_optimal",
                     "align_your_steps"):
        for compat in ("a1111", "comfy"):
            listed.append({"compat": compat, "sampler": "euler_a", "scheduler": schedule, "steps": 7,
                           "seed": len(listed)})
    listed.append({"compat": "a1111", "sampler": "euler_a", "steps": 6, "seed": 5, "ensd": 31337})
    listed.append({"compat": "a1111", "sampler": "euler_a", "steps": 6, "seed": 5, "ensd": 31337, "rng": "cpu"})
    listed.append({"compat": "a1111", "sampler": "dpm++sde", "steps": 6, "seed": 5, "rng": "cpu"})
    listed.append({"compat": "sdcpp", "sampler": "euler_a", "steps": 6, "seed": 9})
    listed.append({"compat": "sdcpp", "sampler": "dpm2", "steps": 6, "seed": 9})
    for k in range(3):
        listed.append({"compat": "comfy", "sampler": "euler_a", "steps": 4, "seed": 8, "slice": k, "slices": 3})
        listed.append({"compat": "comfy", "sampler": "dpm++2m_sde", "steps": 4, "seed": 8, "slice": k, "slices": 3})
    listed.append({"compat": "comfy", "sampler": "euler_a", "steps": 4, "seed": 8, "sampler-rng": "cuda"})
    return listed


# Pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT, NEGATIVE, GUIDANCE = "a red house, on green hills!", "blurry", 7.5


class TinyModel:
    """The networks of the area pipeline's sd1."""

    def __init__(self):
        folder = ROOT / "tests" / "golden" / "pipeline" / "models" / "sd1"
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        text = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        self.vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
        ids = lambda prompt: tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        self.positive, self.negative = (text(ids(prompt)).last_hidden_state for prompt in (PROMPT, NEGATIVE))

    def __call__(self, x: torch.Tensor, timestep: float) -> torch.Tensor:
        x = x if x.dim() == 4 else x.unsqueeze(0)
        both = [self.unet(x.float(), timestep, context.expand(len(x), -1, -1)).sample
                for context in (self.negative, self.positive)]
        return (both[0] + GUIDANCE * (both[1] - both[0])).double()

    def encode(self, picture: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0) / 127.5 - 1
        return self.vae.encode(pixels.float()).latent_dist.mode().double() * self.vae.config.scaling_factor

    def picture(self, latent: torch.Tensor) -> torch.Tensor:
        """Cut off, not rounded."""
        decoded = self.vae.decode(latent.float() / self.vae.config.scaling_factor).sample
        return ((decoded / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def make_pictures(out: pathlib.Path) -> dict[str, torch.Tensor]:
    model, shape = TinyModel(), (4, 8, 8)
    pictures = {}
    for tool, sampler in (("a1111", "euler_a"), ("a1111", "dpm2_a"), ("sdcpp", "euler_a")):
        sigmas = schedule_of(tool, sampler, "model", 5)
        rng = A1111("cuda", 7, shape)
        x = run(tool, sampler, sigmas, rng.first().unsqueeze(0) * sigmas[0], rng.next, None, model)
        pictures[f"{tool}.{sampler}"] = model.picture(x)
    sigmas = schedule_of("comfy", "euler_a", "model", 4)
    noise, later = Cpu(7).randn((2, *shape)), Cpu(8)
    x = run("comfy", "euler_a", sigmas, noise * math.sqrt(1 + sigmas[0] ** 2), lambda: later.randn((2, *shape)), None, model)
    pictures["comfy.euler_a"] = model.picture(x)
    # KSampler with denoise 0.6: the last of as many steps as make these the share.
    row = np.arange(64)
    start = np.stack(np.broadcast_arrays(row[:, None] * 4, row[None, :] * 4, np.array(128)), -1).astype(np.uint8)
    Image.fromarray(start).save(out / "start.png")
    sigmas = schedule_of("comfy", "euler", "model", int(4 / 0.6))[-5:]
    x = model.encode(start) + Cpu(7).randn((1, *shape)) * sigmas[0]
    pictures["comfy.start"] = model.picture(run("comfy", "euler", sigmas, x, None, None, model))
    return pictures


def make(out: pathlib.Path) -> None:
    save_file(make_pictures(out), out / "pictures.safetensors")
    save_file({name: tensor.float().contiguous() for name, tensor in make_noise().items()}, out / "noise.safetensors")
    tensors = {}
    for number, case in enumerate(cases()):
        latent = comfy_case(case) if case["compat"] == "comfy" else a1111_case(case)
        assert latent.isfinite().all(), case
        tensors[f"{number:03}"] = latent.contiguous()
        tensors[f"{number:03}.sigmas"] = torch.from_numpy(
            schedule_of(case["compat"], case["sampler"], case.get("scheduler", "model"), case["steps"]))
    save_file(tensors, out / "trajectories.safetensors")
    (out / "cases.json").write_text(json.dumps({"config": CONFIG, "cases": cases()}, indent=1) + "\n")
