"""Whole pictures with LoRAs, one or several, at weights of the networks' own, and at weights that change over the steps:
by diffusers and PEFT in fp32. The tiny models of the areas pipeline and families, and random LoRAs for them in files of
diffusers' own. Needs peft beside the pinned packages."""

import json
import pathlib

import pipeline
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from guidance import FOLDERS, GOLDEN, generators, with_sampler
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

UNET = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
FILES = {  # model, rank, networks
    "sd1_a": ("sd1", 3, "unet text"), "sd1_b": ("sd1", 2, "unet text"), "sd1_u": ("sd1", 2, "unet"),
    "sd2_a": ("sd2", 3, "unet text"), "xl_a": ("xl", 3, "unet text"), "xl_b": ("xl", 2, "unet text"),
}  # fmt: skip
SIZE = 0.35  # of a LoRA's numbers: enough to be seen in whole pictures of tiny models


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, *lora: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "steps": 5, "cfg-scale": 4, "seed": 43,
                            "lora": list(lora)}, **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", "sd1_a.safetensors")
    add("sd1", "sd1_a.safetensors:0.6", sampler="ddim")
    add("sd1", "sd1_a.safetensors:0.7", "sd1_b.safetensors:-0.4", negative_prompt=pipeline.NEGATIVE, batch_count=2)
    add("sd1", "sd1_a.safetensors:0.5:1.2", sampler="euler")
    add("sd1", "sd1_a.safetensors:0:0.8", "sd1_u.safetensors:1:0")
    add("sd2", "sd2_a.safetensors:0.8")
    add("xl", "xl_a.safetensors:0.5", cfg_scale=1.5)
    add("xl", "xl_a.safetensors:0.2:0.4", "xl_b.safetensors:0.3", cfg_scale=1.5, sampler="euler")
    # From here on with weights that change.
    add("sd1", "sd1_u.safetensors:0.2@0,0.8@0.5", sampler="ddim", steps=6)
    add("sd1", "sd1_u.safetensors:1@0.4", "sd1_b.safetensors:0.5", sampler="euler", steps=7)
    add("sd1", "sd1_a.safetensors:0.2@0,0.8@0.5", sampler="ddim", steps=6, negative_prompt=pipeline.NEGATIVE)
    add("sd1", "sd1_a.safetensors:0.9@0,-0.3@0.3,0.6@0.7:0.5", sampler="euler", steps=5)
    return listed


def weight_at(text: str, step: int, steps: int) -> float:
    weight = 0.0
    for part in text.split(","):
        number, _, share = part.partition("@")
        if step / steps >= float(share or 0) - 1e-9:
            weight = float(number)
    return weight


def weights_at(lora: str, step: int, steps: int) -> dict:
    """Of the networks: FILE[:W[:TE_W]]."""
    said = lora.split(":")[1:] or ["1"]
    unet, text = weight_at(said[0], step, steps), weight_at(said[-1], step, steps)
    return {"unet": unet, "text_encoder": text, "text_encoder_2": text}


def make_file(pipe, folder: pathlib.Path, name: str, rank: int, networks: str, seed: int) -> None:
    torch.manual_seed(seed)
    layers = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        network = getattr(pipe, part, None)
        if network is None or part.split("_")[0] not in networks:
            continue
        network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=UNET if part == "unet" else TEXT), name)
        state = get_peft_model_state_dict(network, adapter_name=name)
        layers[part] = {key: SIZE * torch.randn_like(value) for key, value in state.items()}
        getattr(network, "delete_adapters", getattr(network, "delete_adapter", None))(name)
    pipe.save_lora_weights(folder, weight_name=f"{name}.safetensors",
                           **{f"{part}_lora_layers": state for part, state in layers.items()})
    file = folder / f"{name}.safetensors"  # without metadata, which is written in another order each time
    save_file(load_file(file), file)


def present(pipe, weights: dict) -> dict:
    return {part: weight for part, weight in weights.items() if getattr(pipe, part, None) is not None}


def set_weights(pipe, loras: list[str], step: int, steps: int) -> None:
    names = [lora.split(".")[0] for lora in loras]
    pipe.set_adapters(names, [present(pipe, weights_at(lora, step, steps)) for lora in loras])


def draw(pipe, case: dict) -> torch.Tensor:
    """Final latents, fp32 [B, 4, h, w]."""
    loras, steps, found = case["lora"], case["steps"], []
    with_sampler(pipe, case)
    texts = {"prompt": case["prompt"], "negative_prompt": case.get("negative-prompt")}
    for generator in generators(case):
        set_weights(pipe, loras, 0, steps)
        changes = any("@" in lora for lora in loras)
        more = dict(texts)
        if changes:  # each step's texts, by the text encoder at that step's weights
            embedded = []
            for step in range(steps):
                set_weights(pipe, loras, step, steps)
                to, away = pipe.encode_prompt(device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, **texts)
                embedded.append((to, away))
            set_weights(pipe, loras, 0, steps)

            def at_end(pipe, step, _timestep, _tensors):
                following = min(step + 1, steps - 1)
                set_weights(pipe, loras, following, steps)
                to, away = embedded[following]
                return {"prompt_embeds": torch.cat([away, to])}

            more = {"prompt_embeds": embedded[0][0], "negative_prompt_embeds": embedded[0][1], "callback_on_step_end": at_end,
                    "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
        else:
            pipe.fuse_lora(adapter_names=[lora.split(".")[0] for lora in loras])
        found.append(pipe(num_inference_steps=steps, guidance_scale=float(case["cfg-scale"]), generator=generator,
                          output_type="latent", **more).images)
        if not changes:
            pipe.unfuse_lora()
    return torch.cat(found)


def make(out: pathlib.Path) -> None:
    def fresh(model: str):
        kind = StableDiffusionXLPipeline if model == "xl" else StableDiffusionPipeline
        more = {"add_watermarker": False} if model == "xl" else {"safety_checker": None}
        pipe = kind.from_pretrained(GOLDEN / FOLDERS[model], torch_dtype=torch.float32, **more)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    for seed, (name, (model, rank, networks)) in enumerate(FILES.items()):
        make_file(fresh(model), out, name, rank, networks, seed)
    tensors = {}
    all_cases = cases()
    for i, case in enumerate(all_cases):
        pipe = fresh(case["model"])
        for lora in case["lora"]:
            pipe.load_lora_weights(out, weight_name=lora.split(":")[0], adapter_name=lora.split(".")[0])
        latents = draw(pipe, case)
        assert latents.isfinite().all(), case
        tensors[f"{i:03}.latent"] = latents
        pictures = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        tensors[f"{i:03}.image"] = (pictures / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).mul(255).round().to(torch.uint8).contiguous()
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(all_cases)})
