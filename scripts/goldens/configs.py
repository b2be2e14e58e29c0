"""Which of our samplers' classes diffusers makes of which scheduler_config.json.

scheduler_configs.json: a list of {name, config, accepted}; accepted are the samplers whose class diffusers makes by
from_config of that config, and that takes STEPS steps to finite numbers. The configs are what each class that works on
betas writes of its defaults, and what models on the Hub were published with.
"""

import json
import math
import pathlib

import diffusers
import torch
from diffusers import schedulers
from diffusion import ALL_CLASSES, SD1, SD2, network

STEPS = 10
PUBLISHED = {
    "the first LDM": {
        "_class_name": "DDIMScheduler", "_diffusers_version": "0.0.4", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
        "tensor_format": "pt", "timestep_values": None, "trained_betas": None,
    },
    "SD 1.1": {
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.3.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "tensor_format": "pt",
    },
    "SD 1.4": SD1,
    "SD 2.1": {**SD2, "_diffusers_version": "0.8.0"},
    "SD 2 base in DPM-Solver": {
        "_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.8.0", "algorithm_type": "dpmsolver++",
        "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
        "dynamic_thresholding_ratio": 0.995, "lower_order_final": True, "num_train_timesteps": 1000,
        "predict_epsilon": True, "sample_max_value": 1.0, "solver_order": 2, "solver_type": "midpoint",
        "thresholding": False, "trained_betas": None,
    },
    "a DDPM of before 0.10": {
        "_class_name": "DDPMScheduler", "_diffusers_version": "0.7.0", "beta_end": 0.02, "beta_schedule": "linear",
        "beta_start": 0.0001, "clip_sample": True, "num_train_timesteps": 1000, "predict_epsilon": True,
        "trained_betas": None, "variance_type": "fixed_small",
    },
    "SDXL": {
        "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "interpolation_type": "linear",
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None,
        "use_karras_sigmas": False,
    },
    "SDXL Turbo": {
        "_class_name": "EulerAncestralDiscreteScheduler", "_diffusers_version": "0.24.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "interpolation_type": "linear",
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "trailing", "trained_betas": None,
    },
    "SDXL, saved lately": {
        "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.34.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "final_sigmas_type": "zero",
        "interpolation_type": "linear", "num_train_timesteps": 1000, "prediction_type": "epsilon",
        "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": False, "sigma_max": None,
        "sigma_min": None, "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading",
        "timestep_type": "discrete", "trained_betas": None, "use_beta_sigmas": False, "use_exponential_sigmas": False,
        "use_karras_sigmas": False,
    },
    "LCM": {
        "_class_name": "LCMScheduler", "_diffusers_version": "0.22.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": True, "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000, "original_inference_steps": 50,
        "prediction_type": "epsilon", "rescale_betas_zero_snr": False, "sample_max_value": 1.0,
        "set_alpha_to_one": True, "steps_offset": 1, "thresholding": False, "timestep_scaling": 10.0,
        "timestep_spacing": "leading", "trained_betas": None,
    },
    "with a new key": {**SD1, "a_key_of_next_year": None},
    "with flow matching's shift": {**SD1, "shift": 3.0},
}  # fmt: skip


def defaults() -> dict[str, dict]:
    """By class: what save_config writes. Classes without betas or with obligatory arguments are no model's of ours."""
    found = {}
    for name in dir(schedulers):
        if not name.endswith("Scheduler"):
            continue
        try:
            config = json.loads(getattr(schedulers, name)().to_json_string())
        except (ImportError, TypeError):
            continue
        if "beta_schedule" in config and not name.startswith("CogVideoX"):  # which is of another kind of network
            found[name] = config
    return found


def accepts(sampler: str, config: dict) -> bool:
    more = {"algorithm_type": "sde-dpmsolver++"} if sampler == "dpm++2m_sde" else {}
    x = torch.randn((1, 4, 2, 2), generator=torch.Generator().manual_seed(0))
    try:
        scheduler = getattr(diffusers, ALL_CLASSES[sampler]).from_config(dict(config), **more)
        scheduler.set_timesteps(STEPS)
        x = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            x = scheduler.step(network(scheduler.scale_model_input(x, t), float(t)), t, x).prev_sample
    except Exception:  # whatever it is: diffusers checks little, and fails where it stands
        return False
    return bool(x.isfinite().all())


def make(out: pathlib.Path) -> None:
    listed = []
    for name, config in (PUBLISHED | defaults()).items():
        accepted = [sampler for sampler in ALL_CLASSES if accepts(sampler, config)]
        listed.append({"name": name, "config": config, "accepted": accepted})
    # Infinity, as Python writes it, is no JSON: its key is left to the plan's own tests.
    for entry in listed:
        entry["config"] = {key: value for key, value in entry["config"].items() if value != -math.inf}
    (out / "scheduler_configs.json").write_text(json.dumps(listed, indent=1) + "\n")
