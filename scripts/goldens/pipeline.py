"""Pictures and latents of whole pipelines: tiny random models of each kind, every sampler, and the built-in model."""

import json
import pathlib
import shutil

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLASSES = {
    "ddpm": diffusers.DDPMScheduler,
    "ddim": diffusers.DDIMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_a": diffusers.EulerAncestralDiscreteScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "lms": diffusers.LMSDiscreteScheduler,
    "dpm++2m": diffusers.DPMSolverMultistepScheduler,
}
PROMPT = "a red house, on green hills!"
NEGATIVE = "blurry"
LONG_PROMPT = "a red house on green hills under a starry sky " * 4

SCHEDULERS = {
    # As the published SD1.5 folder has it: no timestep_spacing.
    "sd1": {
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
    },
    # As the published SD2.1 folder has it.
    "sd2": {
        "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
        "prediction_type": "v_prediction",
    },
    "zero_snr": {
        "_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
        "num_train_timesteps": 1000, "set_alpha_to_one": True, "steps_offset": 1, "clip_sample": False,
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
    },
}


def byte_units() -> list[str]:
    """CLIP's printable stand-ins for the 256 bytes, in the order of its vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def save_tokenizer(folder: pathlib.Path, pad: str) -> int:
    folder.mkdir(parents=True)
    units = byte_units()
    merges = ["h o", "ho u", "hou s", "hous e</w>", "r e", "re d</w>", "g r", "e e", "gr ee", "gree n</w>"]
    pieces = units + [u + "</w>" for u in units] + [m.replace(" ", "") for m in merges]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(m + "\n" for m in merges), "utf-8")
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=pad)
    config = dict(special, add_prefix_space=False, do_lower_case=True, model_max_length=77,
                  tokenizer_class="CLIPTokenizer")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    return len(vocab)


def save_model(folder: pathlib.Path, kind: str, schedulers: list[str]) -> None:
    """Writes one tiny random model, and beside it the folders that differ from it in the scheduler alone."""
    shutil.rmtree(folder, ignore_errors=True)
    sd2 = kind == "sd2"
    torch.manual_seed(2 if sd2 else 1)
    vocab = save_tokenizer(folder / "tokenizer", "!" if sd2 else "<|endoftext|>")
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=vocab, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3,
        max_position_embeddings=77, hidden_act="gelu" if sd2 else "quick_gelu", bos_token_id=vocab - 2,
        eos_token_id=vocab - 1, pad_token_id=0 if sd2 else vocab - 1)).eval()
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=24, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 4) if sd2 else 4, use_linear_projection=sd2, upcast_attention=sd2).eval()
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4).eval()
    for parameter in text.parameters():
        if parameter.dim() == 2:  # attend to something: the default 0.02 leaves every token alike
            parameter.mul_(8)
    vae.decoder.conv_out.weight.mul_(2)  # span most of 0…1, so that a wrong latent shows in the pixels
    text.save_pretrained(folder / "text_encoder")
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", SCHEDULERS[schedulers[0]]["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None], "feature_extractor": [None, None]}, indent=2))
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULERS[schedulers[0]], indent=2))


def cases() -> list[dict]:
    """Requests by the flags' long names; what is absent is sdtorch's default, except size and steps, always given."""
    all_cases = []

    def add(model: str, **request) -> None:
        all_cases.append(dict({"model": model, "prompt": PROMPT, "steps": 5, "cfg-scale": 7.5, "seed": 7,
                               "width": 64, "height": 64}, **request))

    for model in ("sd1", "sd2", "zero_snr"):
        add(model)
        for sampler in CLASSES:
            if model == "zero_snr" and sampler in ("pndm", "heun", "lms"):
                continue
            for steps in (1, 5, 20, 50):
                if steps < 4 and sampler == "pndm" and not SCHEDULERS[model].get("skip_prk_steps"):
                    continue
                add(model, sampler=sampler, steps=steps)
            if sampler in ("euler", "heun", "lms", "dpm++2m") and model != "zero_snr":
                add(model, sampler=sampler, scheduler="karras", steps=20)
            for spacing in ("leading", "trailing", "linspace"):
                if model != "zero_snr" and not (sampler == "pndm" and spacing == "linspace" and model == "sd2"):
                    add(model, sampler=sampler, spacing=spacing, steps=7)
    add("sd1", **{"sampler": "ddim", "eta": 0.7})
    add("sd1", **{"negative-prompt": NEGATIVE, "width": 48, "height": 80, "seed": 0})
    add("sd1", **{"cfg-scale": 1, "seed": 2**64 - 1})
    add("sd1", **{"prompt": "", "seed": 2**63})
    add("sd2", **{"negative-prompt": NEGATIVE, "guidance-rescale": 0.7})
    add("sd1", **{"prompt": LONG_PROMPT, "negative-prompt": NEGATIVE})
    add("sd1", **{"sampler": "euler_a", "batch-count": 3})
    return all_cases


def chunked_embeddings(pipe, text: str, chunks: int) -> torch.Tensor:
    """A long prompt in chunks of 75 tokens, each encoded by itself, joined along the token axis."""
    tokenizer = pipe.tokenizer
    ids = tokenizer(text, add_special_tokens=False).input_ids
    rows = []
    for k in range(chunks):
        row = [tokenizer.bos_token_id, *ids[75 * k:75 * (k + 1)], tokenizer.eos_token_id]
        rows.append(row + [tokenizer.pad_token_id] * (77 - len(row)))
    hidden = pipe.text_encoder(torch.tensor(rows)).last_hidden_state
    return hidden.reshape(1, -1, hidden.shape[-1])


def draw(pipe, case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    changes = {}
    if case.get("scheduler") == "karras":
        changes["use_karras_sigmas"] = True
    if "spacing" in case:
        changes["timestep_spacing"] = case["spacing"]
    if "sampler" in case:
        pipe.scheduler = CLASSES[case["sampler"]].from_config(loaded.config, **changes)
    count = case.get("batch-count", 1)
    generators = [torch.Generator("cpu").manual_seed((case["seed"] + k) % 2**64) for k in range(count)]
    arguments = dict(num_inference_steps=case["steps"], guidance_scale=case["cfg-scale"], width=case["width"],
                     height=case["height"], eta=case.get("eta", 0.0), generator=generators,
                     guidance_rescale=case.get("guidance-rescale", 0.0), num_images_per_prompt=count)
    if case["prompt"] == LONG_PROMPT:
        chunks = -(-len(pipe.tokenizer(LONG_PROMPT, add_special_tokens=False).input_ids) // 75)
        arguments["prompt_embeds"] = chunked_embeddings(pipe, LONG_PROMPT, chunks)
        arguments["negative_prompt_embeds"] = chunked_embeddings(pipe, case["negative-prompt"], chunks)
    else:
        arguments["prompt"] = case["prompt"]
        arguments["negative_prompt"] = case.get("negative-prompt", "")
    latents = pipe(output_type="latent", **arguments).images
    pictures = []
    for latent in latents.split(1):
        picture = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample
        pictures.append(pipe.image_processor.postprocess(picture, output_type="np")[0])
    pipe.scheduler = loaded
    pixels = np.ascontiguousarray((np.stack(pictures) * 255).round().astype(np.uint8))
    return latents.contiguous(), torch.from_numpy(pixels)


def load(folder: pathlib.Path, scheduler: dict | None = None):
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
    if scheduler:
        pipe.scheduler = CLASSES["ddim"].from_config(scheduler)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make(out: pathlib.Path) -> None:
    models = out / "models"
    save_model(models / "sd1", "sd1", ["sd1"])
    save_model(models / "sd2", "sd2", ["sd2"])
    (out / "zero_snr_scheduler_config.json").write_text(json.dumps(SCHEDULERS["zero_snr"], indent=2))
    pipes = {"sd1": load(models / "sd1"), "sd2": load(models / "sd2"),
             "zero_snr": load(models / "sd2", SCHEDULERS["zero_snr"])}

    tensors = {}
    all_cases = cases()
    for i, case in enumerate(all_cases):
        latents, pictures = draw(pipes[case["model"]], case)
        tensors[f"{i:03}.latent"], tensors[f"{i:03}.image"] = latents, pictures
    save_file(tensors, out / "tiny.safetensors", metadata={"cases": json.dumps(all_cases)})

    make_demo(out)


def make_demo(out: pathlib.Path) -> None:
    """The built-in model's pictures."""
    demo = load(ROOT / "models" / "demo")
    demo_cases = [
        {"prompt": "a pirate ship near a paradise beach", "steps": 20, "cfg-scale": 7.5, "seed": 42, "width": 128,
         "height": 128},
        {"prompt": "a red house on green hills at sunset", "negative-prompt": "night", "steps": 20, "cfg-scale": 5,
         "seed": 3, "width": 160, "height": 128, "sampler": "dpm++2m", "scheduler": "karras"},
    ]
    tensors = {}
    for i, case in enumerate(demo_cases):
        latents, pictures = draw(demo, case)
        tensors[f"{i:03}.latent"], tensors[f"{i:03}.image"] = latents, pictures
    save_file(tensors, out / "demo.safetensors", metadata={"cases": json.dumps(demo_cases)})
