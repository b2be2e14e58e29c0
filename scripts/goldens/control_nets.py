"""Pictures that are steered by pictures, by diffusers' ControlNet and T2I-Adapter pipelines, with the tiny models of the
areas pipeline and families, and tiny ControlNets and adapters of their own."""

import json
import pathlib

import families
import image_to_image
import networks
import numpy as np
import pipeline
import torch
from diffusers import (ControlNetModel, MultiAdapter, StableDiffusionAdapterPipeline,
                       StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline,
                       StableDiffusionControlNetPipeline, StableDiffusionXLAdapterPipeline,
                       StableDiffusionXLControlNetImg2ImgPipeline, StableDiffusionXLControlNetInpaintPipeline,
                       StableDiffusionXLControlNetPipeline, T2IAdapter, UNet2DConditionModel)
from PIL import Image, ImageDraw
from safetensors.torch import save_file

GOLDEN = image_to_image.GOLDEN
FOLDERS = {"sd1": "pipeline/models/sd1", "sd2": "pipeline/models/sd2", "xl": "families/models/xl"}
WIDTHS = {"sd1": (4, 6, 6, 8), "sd2": (4, 6, 6, 8), "xl": (4, 8)}  # of the picture's embedding, halved between them
NETS = {
    "net_a": lambda: controlnet("sd1", 1),
    "net_b": lambda: controlnet("sd1", 2, controlnet_conditioning_channel_order="bgr"),
    "net_pooled": lambda: controlnet("sd1", 3, global_pool_conditions=True),
    "net_xl": lambda: controlnet("xl", 4),
    "net_sd2": lambda: controlnet("sd2", 9),
    "adapter_a": lambda: adapter(5, channels=[16, 32], downscale_factor=8, num_res_blocks=1),
    "adapter_grey": lambda: adapter(6, channels=[16, 32], downscale_factor=8, num_res_blocks=2, in_channels=1),
    "adapter_xl": lambda: adapter(8, channels=[8, 12], downscale_factor=4, adapter_type="full_adapter_xl"),
}  # fmt: skip


def quieter(module: torch.nn.Module, scale: float) -> torch.nn.Module:
    """So that a net steers what the U-Net does, and does not drown it."""
    for name, weight in module.named_parameters():
        if name.startswith(("controlnet_down_blocks", "controlnet_mid_block")):
            weight.mul_(scale)
    return module


def controlnet(model: str, seed: int, **config) -> ControlNetModel:
    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(GOLDEN / FOLDERS[model], subfolder="unet")
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=WIDTHS[model], load_weights_from_unet=True,
                                    **{k: v for k, v in config.items() if k != "global_pool_conditions"})
    net.register_to_config(**config)
    for name, weight in net.named_parameters():
        if name.startswith("controlnet_"):
            weight.copy_(torch.randn_like(weight) / max(weight[0].numel(), 1) ** 0.5 if weight.dim() > 1
                         else 0.1 * torch.randn_like(weight))
    return quieter(net, 0.3).eval()


def adapter(seed: int, **config) -> T2IAdapter:
    torch.manual_seed(seed)
    net = networks.randomise(T2IAdapter(**config))
    for weight in net.parameters():
        weight.mul_(0.6)
    return net


def save(net: torch.nn.Module, folder: pathlib.Path) -> torch.nn.Module:
    """In bf16, and gives it back with the weights as stored. Without metadata, which comes in any order."""
    net.bfloat16().save_pretrained(folder)
    save_file({name: weight.clone() for name, weight in net.state_dict().items()},
              folder / "diffusion_pytorch_model.safetensors")
    return net.float()


def write_pictures(out: pathlib.Path) -> None:
    for number, (name, (width, height)) in enumerate({"a.png": (70, 45), "b.png": (33, 50)}.items()):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.cos(x / (4 + k)) * np.sin((y + number) / (3 + k)) + (x + y > 50) * 0.4 * k for k in range(3)]
        Image.fromarray(np.clip(np.stack(waves, -1) * 100 + 110, 0, 255).astype(np.uint8)).save(out / name)
    mask = Image.new("L", (70, 45))
    ImageDraw.Draw(mask).ellipse((14, 8, 50, 34), fill=255)
    mask.save(out / "mask.png")


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, nets, pictures="a.png", **request) -> None:
        listed.append(dict({"model": model, "control-net": nets, "control-image": pictures, "prompt": pipeline.PROMPT,
                            "steps": 6, "cfg-scale": 5, "seed": 7},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", "net_a")
    add("sd1", "net_a", control_strength=0.4, sampler="euler", width=48, height=64)
    add("sd1", "net_a", "b.png", cfg_scale=1, sampler="ddim")
    add("sd1", "net_a", control_mode="control", sampler="euler")
    add("sd1", "net_a", control_mode="control", cfg_scale=1, control_strength=1.5)
    add("sd1", "net_pooled", sampler="ddim")
    add("sd1", "net_a", control_start=0.2, control_end=0.7, sampler="ddim", negative_prompt=pipeline.NEGATIVE)
    for sampler in ("pndm", "heun", "dpm2", "euler_a", "dpm++2m"):
        add("sd1", "net_a", control_start=0.3, control_end=0.6, sampler=sampler)
    add("sd1", ["net_a", "net_b"], ["a.png", "b.png"], control_strength=[0.6, 1.2], control_start=[0, 0.4],
        control_end=[0.5, 1], sampler="euler", width=64, height=48)
    add("sd1", ["net_b", "net_a"], ["b.png", "b.png"], control_strength=0.7)
    add("sd1", "net_a", sampler="euler_a", batch_count=2, batch_size=2)
    add("sd1", "net_a", "b.png", init_img="a.png", width=64, height=40, strength=0.6, sampler="euler")
    add("sd1", ["net_a", "net_b"], ["a.png", "b.png"], init_img="b.png", width=32, height=48, sampler="ddim",
        control_end=[0.5, 1], control_mode="control")
    # The tiny SDXL amplifies rounding errors by hundreds where guidance is strong or the sampler extrapolates.
    add("xl", "net_xl", cfg_scale=2)
    add("xl", "net_xl", "b.png", cfg_scale=2, control_start=0.2, control_end=0.8, sampler="euler_a", batch_count=2)
    add("xl", "net_xl", cfg_scale=2, control_mode="control", negative_prompt=pipeline.NEGATIVE)
    add("xl", ["net_xl", "net_xl"], ["a.png", "b.png"], cfg_scale=1, width=48, height=32)
    add("xl", "net_xl", cfg_scale=2, init_img="b.png", strength=0.5, width=48, height=48)
    add("sd1", "net_a", "b.png", init_img="a.png", mask="mask.png", width=64, height=40, sampler="euler")
    add("sd1", "net_a", "b.png", init_img="a.png", mask="mask.png", width=64, height=40, sampler="ddim", strength=0.7,
        control_end=0.6)
    add("sd1", ["net_a", "net_b"], ["a.png", "b.png"], init_img="a.png", mask="mask.png", width=64, height=40,
        control_preprocess=["inpaint", "none"], sampler="euler")
    add("xl", "net_xl", init_img="a.png", mask="mask.png", width=48, height=40, cfg_scale=2, strength=0.8)
    add("sd1", "adapter_a")
    add("sd1", "adapter_a", "b.png", control_strength=0.5, sampler="euler", batch_count=2, batch_size=2)
    add("sd1", "adapter_grey", sampler="ddim", cfg_scale=1)
    add("sd1", ["adapter_a", "adapter_grey"], ["a.png", "b.png"], control_strength=[0.8, 0.3], sampler="ddim",
        width=64, height=48)
    add("xl", "adapter_xl", cfg_scale=2, width=40, height=48)
    add("xl", "adapter_xl", "b.png", cfg_scale=2, control_strength=0.7, control_end=0.5, width=64, height=32)
    for sampler, end in (("heun", 0.5), ("heun", 1.0), ("dpm2", 0.8), ("pndm", 0.75)):  # more calls than steps
        add("xl", "adapter_xl", cfg_scale=1.5, control_end=end, sampler=sampler, width=64, height=32)
    add("sd2", "net_sd2")
    add("sd2", "net_sd2", "b.png", control_strength=0.6, control_start=0.2, control_mode="control", sampler="euler")
    add("sd2", "net_sd2", "b.png", init_img="a.png", width=64, height=40, strength=0.6, sampler="euler_a")
    add("sd2", "net_sd2", init_img="a.png", mask="mask.png", width=64, height=40, sampler="ddim",
        control_preprocess="inpaint")
    add("sd1", "net_a", control_mode="prompt", control_strength=1.5, sampler="euler")
    add("sd1", ["net_a", "net_b"], ["a.png", "b.png"], control_mode=["prompt", "balanced"], sampler="ddim", width=64,
        height=48, negative_prompt=pipeline.NEGATIVE)
    return listed


def without_masked(picture: Image.Image, mask: Image.Image, width: int, height: int) -> torch.Tensor:
    """What ControlNets for inpainting are given: -1 where the picture is to be repainted. [1, 3, H, W]"""
    def pixels(image):
        return torch.from_numpy(np.asarray(image.resize((width, height), Image.LANCZOS)).astype(np.float32) / 255)

    return pixels(picture).masked_fill(pixels(mask)[..., None] > 0.5, -1).permute(2, 0, 1)[None]


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def load(case: dict, nets: dict):
    model, adapters = case["model"], as_list(case["control-net"])[0].startswith("adapter")
    started = "mask" if "mask" in case else "init-img" in case
    kind = {("sd1", False, False): StableDiffusionControlNetPipeline,
            ("sd1", False, True): StableDiffusionControlNetImg2ImgPipeline,
            ("xl", False, False): StableDiffusionXLControlNetPipeline,
            ("xl", False, True): StableDiffusionXLControlNetImg2ImgPipeline,
            ("sd1", False, "mask"): StableDiffusionControlNetInpaintPipeline,
            ("xl", False, "mask"): StableDiffusionXLControlNetInpaintPipeline,
            ("sd1", True, False): StableDiffusionAdapterPipeline,
            ("xl", True, False): StableDiffusionXLAdapterPipeline}["xl" if model == "xl" else "sd1", adapters, started]
    chosen = [nets[name] for name in as_list(case["control-net"])]
    more = {"adapter" if adapters else "controlnet": chosen if len(chosen) > 1 else chosen[0]}
    if adapters and len(chosen) > 1:
        more["adapter"] = MultiAdapter(chosen)
    more |= {"safety_checker": None} if model != "xl" else {} if adapters else {"add_watermarker": False}
    pipe = kind.from_pretrained(GOLDEN / FOLDERS[model], torch_dtype=torch.float32, **more)
    if "sampler" in case:
        scheduler, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **changes)
    pipe.set_progress_bar_config(disable=True)
    return pipe, adapters, started


def soften(module, arguments, residuals) -> tuple:
    """A forward hook that weighs a ControlNet's residuals as sd-webui-controlnet does where the prompt is more
    important: by the powers of 0.825 that are SD1's, the deepest whole."""
    down, mid = residuals
    weighted = [x * 0.825 ** (12 - i) for i, x in enumerate([*down, mid])]
    return weighted[:-1], weighted[-1]


def draw(case: dict, nets: dict, out: pathlib.Path) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    pipe, adapters, started = load(case, nets)
    names = as_list(case["control-net"])
    grey = [adapters and nets[name].config.in_channels == 1 for name in names]
    pictures = [Image.open(out / name).convert("L" if is_grey else "RGB")
                for name, is_grey in zip(as_list(case["control-image"]), grey)]
    for number, name in enumerate(as_list(case.get("control-preprocess", []))):
        if name == "inpaint":
            mask = Image.open(out / case["mask"]).convert("L")
            pictures[number] = without_masked(pictures[number], mask, case["width"], case["height"])
    count = case.get("batch-count", 1)
    several = len(names) > 1
    arguments = {"width": case.get("width"), "height": case.get("height")}
    if adapters:
        arguments["image"] = pictures if several else pictures[0]
        arguments["adapter_conditioning_scale"] = case.get("control-strength", 1.0)
        if "control-end" in case:
            arguments["adapter_conditioning_factor"] = case["control-end"]
    else:
        strength = case.get("control-strength", 1.0)
        arguments["control_image" if started else "image"] = pictures if several else pictures[0]
        arguments["controlnet_conditioning_scale"] = (
            [float(s) for s in strength] if isinstance(strength, list) else float(strength))
        arguments["control_guidance_start"] = case.get("control-start", 0.0)
        arguments["control_guidance_end"] = case.get("control-end", 1.0)
        arguments["guess_mode"] = case.get("control-mode") == "control"
    if started:
        start = Image.open(out / case["init-img"]).convert("RGB")
        arguments["image"] = pipe.image_processor.preprocess(start, height=case["height"], width=case["width"])
        arguments["strength"] = float(case.get("strength", 0.75))
    if started == "mask":
        arguments |= {"image": start, "mask_image": Image.open(out / case["mask"]).convert("L"),
                      "strength": float(case.get("strength", 1))}
    if "negative-prompt" in case:
        arguments["negative_prompt"] = case["negative-prompt"]
    generators = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]
    modes = [mode for _, mode in zip(names, as_list(case.get("control-mode", "balanced")) * len(names))]
    hooks = [nets[name].register_forward_hook(soften) for name, mode in zip(names, modes) if mode == "prompt"]
    latents = pipe(prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                   generator=generators, num_images_per_prompt=count, output_type="latent", **arguments).images
    for hook in hooks:
        hook.remove()
    return image_to_image.with_pixels(pipe, latents)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_pictures(out)
    nets = {}
    for name, build in NETS.items():
        nets[name] = save(build(), out / "nets" / name)
    tensors, listed = {}, cases()
    for number, case in enumerate(listed):
        latents, pixels = draw(case, nets, out)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
