"""Trajectories of diffusers' schedulers over a closed-form network, and the noise, guidance and noising around them.

A case is a model's scheduler_config.json, what the user chose, steps and seed; cases.json lists them all and
trajectories.safetensors holds, by the case's number, the timesteps handed to the network, the scale of the start, and
the latents: after every scheduler call for up to SHORT steps, else the last alone. Every case goes through
StableDiffusionPipeline and, with a sampler chosen, through that class's from_config, as a user of diffusers would go.
"""

import inspect
import json
import math
import pathlib

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from safetensors.torch import save_file

SHORT = 5
SHAPE = (1, 4, 4, 4)
CLASSES = {
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "dpm++2m": "DPMSolverMultistepScheduler",
}
# Their trajectories are in samplers.py.
MORE_CLASSES = {
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_a": "KDPM2AncestralDiscreteScheduler",
    "dpm++2m_sde": "DPMSolverMultistepScheduler",
    "dpm++2s": "DPMSolverSinglestepScheduler",
    "dpm++sde": "DPMSolverSDEScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
    "ipndm": "IPNDMScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
}
ALL_CLASSES = CLASSES | MORE_CLASSES
SCHEDULE_KEYS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas", "beta": "use_beta_sigmas"}
SD1 = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SD2 = {**SD1, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
ZERO_SNR = {**SD2, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def network(x: torch.Tensor, timestep: float) -> torch.Tensor:
    """Smooth in both, and bounded enough not to amplify rounding. tests/diffusion/trajectory_test.cpp has the same."""
    return 0.7 * math.cos(timestep * 1e-3) * x + 0.3 * torch.sin(2 * x)


def scheduler_of(case: dict):
    """The scheduler that the case's choice means in diffusers, ready but for its timesteps."""
    cls = getattr(diffusers, case["config"]["_class_name"])
    pipe = StableDiffusionPipeline(
        vae=None, text_encoder=None, tokenizer=None, unet=None, scheduler=cls.from_config(dict(case["config"])),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    overrides = {}
    if case.get("spacing"):
        overrides["timestep_spacing"] = case["spacing"]
    if case.get("prediction"):
        overrides["prediction_type"] = case["prediction"]
    if case.get("scheduler") in SCHEDULE_KEYS:
        overrides[SCHEDULE_KEYS[case["scheduler"]]] = True
    overrides |= case.get("overrides", {})
    if case.get("sampler"):
        return getattr(diffusers, ALL_CLASSES[case["sampler"]]).from_config(pipe.scheduler.config, **overrides)
    pipe.scheduler.register_to_config(**overrides)
    return pipe.scheduler


def use_k_diffusion_karras(scheduler, steps: int) -> None:
    """k-diffusion's get_sigmas_karras over the whole training range, which diffusers' Euler a does not have."""
    training = np.array(((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5)
    first, last = float(training[-1]) ** (1 / 7), float(training[0]) ** (1 / 7)
    sigmas = (first + np.linspace(0, 1, steps) * (last - first)) ** 7
    to_t = diffusers.EulerDiscreteScheduler._sigma_to_t
    timesteps = np.array([to_t(scheduler, sigma, np.log(training)) for sigma in sigmas])
    scheduler.sigmas = torch.from_numpy(np.append(sigmas, 0.0).astype(np.float32))
    scheduler.timesteps = torch.from_numpy(timesteps.astype(np.float32))


def run(case: dict) -> dict[str, torch.Tensor]:
    scheduler = scheduler_of(case)
    if "sigmas" in case:
        scheduler.set_timesteps(sigmas=case["sigmas"])
    else:
        scheduler.set_timesteps(case["steps"])
    if isinstance(scheduler, diffusers.DPMSolverSDEScheduler) and scheduler.noise_sampler_seed is None:
        scheduler.noise_sampler_seed = case["seed"]
    if case.get("scheduler") == "karras" and isinstance(scheduler, diffusers.EulerAncestralDiscreteScheduler):
        use_k_diffusion_karras(scheduler, case["steps"])
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    parameters = inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if "generator" in parameters else {}
    if "eta" in parameters:
        extra["eta"] = case.get("eta", 0.0)  # the pipelines' own default
    x = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    latents = []
    for t in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(output, t, x, return_dict=False, **extra)[0]
        latents.append(x)
    if case["steps"] > SHORT:
        latents = latents[-1:]
    assert all(latent.isfinite().all() for latent in latents), case
    return {
        "timesteps": scheduler.timesteps.double(),
        "init_noise_sigma": torch.tensor(float(scheduler.init_noise_sigma), dtype=torch.float64),
        "latents": torch.stack(latents),
    }


def cases() -> list[dict]:
    listed = []

    def add(config: dict, sampler: str | None = None, steps=(5,), **choice):
        for count in steps:
            listed.append({"config": config, "sampler": sampler, "steps": count, "seed": len(listed), **choice})

    lengths = (1, 5, 20, 50)
    for sampler in CLASSES:
        for prediction in ("epsilon", "v_prediction", "sample"):
            if prediction == "sample" and sampler in ("pndm", "euler_a"):
                continue
            config = {**SD1, "prediction_type": prediction}
            for spacing in (None, "leading", "trailing", "linspace"):
                add(config, sampler, lengths, spacing=spacing)
                if sampler == "pndm":
                    add({**config, "skip_prk_steps": False}, sampler, (4, 5, 20, 50), spacing=spacing)
        # What the model names, with every key that has a default left out, or set to what the pipeline corrects.
        bare = {"_class_name": CLASSES[sampler]}
        add(bare, None, (5, 20))
        add({**bare, "steps_offset": 0, "clip_sample": True}, None, (5,))
        # What another sampler makes of the same files.
        for other in CLASSES:
            add(bare, other, (5,))
            add({**SD1, "_class_name": CLASSES[sampler], "steps_offset": 0, "clip_sample": True}, other, (5,))
        for schedule in ("linear", "squaredcos_cap_v2"):
            add({**SD1, "beta_schedule": schedule}, sampler, (5, 20))
            add({**SD2, "beta_schedule": schedule}, sampler, (5,), spacing="trailing")
        add({**SD1, "num_train_timesteps": 77}, sampler, (4, 20))
        add({**SD1, "num_train_timesteps": 8, "trained_betas": [0.01 * (i + 1) for i in range(8)]}, sampler, (4,))
    for sampler in ("euler", "heun", "lms", "dpm++2m", "euler_a"):
        for spacing in (None, "leading", "trailing"):
            add(SD1, sampler, lengths, scheduler="karras", spacing=spacing)
            add(SD2, sampler, (5, 20), scheduler="karras", spacing=spacing)
        bounds = {**SD1, "sigma_min": 0.1, "sigma_max": 10.0}
        add(bounds, sampler, (5,), scheduler="karras")
        add({**SD1, "use_karras_sigmas": True}, sampler, (5,))
    for sampler in ("ddpm", "ddim", "euler", "euler_a", "dpm++2m"):
        add(ZERO_SNR, sampler, lengths)
        add(ZERO_SNR, sampler, (5,), spacing="linspace")
        add({**ZERO_SNR, "prediction_type": "epsilon"}, sampler, (5,), spacing="leading")
        if sampler != "euler_a":
            add(ZERO_SNR, sampler, (5,), prediction="sample")
    add(ZERO_SNR, None, lengths)
    limits = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
    clipped = {key: value for key, value in SD1.items() if key != "clip_sample"}
    for sampler in ("ddpm", "ddim", "dpm++2m"):
        add({**SD1, **limits}, sampler, (1, 5, 20))
        add({**clipped, "clip_sample_range": 0.5}, sampler, (1, 5, 20))
    for eta in (0.0, 0.5, 1.0):
        add(SD1, "ddim", lengths, eta=eta)
        add({**SD2, "set_alpha_to_one": True}, None, (5, 20), eta=eta, spacing="trailing")
    for variance in ("fixed_small", "fixed_small_log", "fixed_large"):
        add({**SD1, "variance_type": variance}, "ddpm", lengths)
    for final in ("zero", "sigma_min"):
        add({**SD1, "final_sigmas_type": final}, "euler", (1, 5))
        for algorithm in ("dpmsolver++", "dpmsolver"):
            if final == "zero" and algorithm == "dpmsolver":
                continue
            for order in (1, 2, 3):
                solver = {"final_sigmas_type": final, "algorithm_type": algorithm, "solver_order": order}
                add({**SD1, **solver}, "dpm++2m", (1, 2, 5, 20))
                add({**SD2, **solver, "solver_type": "heun", "lower_order_final": False}, "dpm++2m", (5, 20))
                add({**SD1, **solver, "euler_at_final": True}, "dpm++2m", (20,))
                add({**SD1, **solver, **limits}, "dpm++2m", (5,))
    add({**SD1, "_class_name": "UniPCMultistepScheduler", "solver_type": "bh2"}, "dpm++2m", (5,))
    add({**SD1, "use_lu_lambdas": True}, "dpm++2m", (5, 20))
    for spacing in ("leading", "trailing", "linspace"):
        cosine = {**SD1, "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1}
        add(cosine, "dpm++2m", (5, 20), spacing=spacing)
        # Bounds, since between the full ones diffusers meets its first timestep twice and fails.
        add({**cosine, "sigma_min": 0.05, "sigma_max": 80.0}, "dpm++2m", (5,), spacing=spacing, scheduler="karras")
    return listed


def make_trajectories(out: pathlib.Path, listed: list[dict]) -> None:
    tensors = {}
    for number, case in enumerate(listed):
        tensors |= {f"{number:03}.{name}": value.contiguous() for name, value in run(case).items()}
    (out / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")
    save_file(tensors, out / "trajectories.safetensors")


def make_noise(out: pathlib.Path) -> None:
    """Two draws a seed and shape; torch draws fewer than 16 numbers by another path."""
    tensors = {}
    for seed in (0, 1, 42, 2**32, 2**63, 2**64 - 1):
        for shape in ((4, 1, 1), (3, 5), (4, 2, 2), (4, 3, 7), (4, 8, 12)):
            generator = torch.Generator("cpu").manual_seed(seed)
            name = f"{seed}.{'x'.join(map(str, shape))}"
            tensors[name] = torch.stack([torch.randn((1, *shape), generator=generator) for _ in range(2)])
    save_file(tensors, out / "noise.safetensors")


def make_guidance(out: pathlib.Path) -> None:
    uncond, cond = torch.randn(2, 3, 4, 5, 6)
    tensors = {"uncond": uncond, "cond": cond}
    for scale in (0.0, 1.0, 7.5):
        guided = uncond + scale * (cond - uncond)
        for rescale in (0.0, 0.7, 1.0):
            name = f"{scale:g}.{rescale:g}"
            tensors[name] = rescale_noise_cfg(guided, cond, rescale) if rescale > 0 else guided
    save_file({name: value.contiguous() for name, value in tensors.items()}, out / "guidance.safetensors")


def make_forward(out: pathlib.Path) -> None:
    """q(x_t | x_0) by DDPMScheduler.add_noise, and the same by EulerDiscreteScheduler in its own frame."""
    x0, noise = torch.randn(2, *SHAPE)
    tensors = {"x0": x0, "noise": noise}
    ddpm = diffusers.DDPMScheduler.from_config(SD1)
    tensors["alpha_bar"] = ddpm.alphas_cumprod
    tensors["alpha_bar.zero_snr"] = diffusers.DDPMScheduler.from_config(ZERO_SNR).alphas_cumprod
    for t in (0, 1, 500, 999):
        tensors[f"ddpm.{t}"] = ddpm.add_noise(x0, noise, torch.tensor([t]))
    for name in ("ddim", "euler"):
        scheduler = getattr(diffusers, CLASSES[name]).from_config(SD1)
        scheduler.set_timesteps(5)
        for step, t in enumerate(scheduler.timesteps):
            tensors[f"{name}.step{step}"] = scheduler.add_noise(x0, noise, t.reshape(1))
    save_file({name: value.contiguous() for name, value in tensors.items()}, out / "forward.safetensors")


def make(out: pathlib.Path) -> None:
    diffusers.logging.set_verbosity_error()
    make_trajectories(out, cases())
    make_noise(out)
    make_guidance(out)
    make_forward(out)
