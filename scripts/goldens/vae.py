"""What stands in a VAE's place, by diffusers: tiny autoencoders, a VAE whose config keeps fp16 from overflowing, and how
far diffusers' own tiles are from the whole picture."""

import json
import pathlib

import image_to_image
import networks
import pipeline
import torch
from diffusers import (AutoencoderKL, AutoencoderTiny, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline,
                       StableDiffusionXLPipeline)
from PIL import Image
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"

# The config's keys, and under `latent` the shape of the inputs.
TINY = {
    "tiny_sd": dict(
        encoder_block_out_channels=[8, 8, 8, 8], decoder_block_out_channels=[8, 8, 8, 8], latent=[2, 5, 4],
    ),
    "tiny_other": dict(
        encoder_block_out_channels=[6, 6, 6], decoder_block_out_channels=[10, 10, 10], num_encoder_blocks=[2, 0, 1],
        num_decoder_blocks=[1, 2, 0], act_fn="gelu", latent_channels=5, scaling_factor=0.7, latent=[1, 3, 7],
    ),
}  # fmt: skip

TILED = dict(block_out_channels=[8, 16, 16, 24], layers_per_block=2, norm_num_groups=4, sample_size=64, latent=[1, 20, 16])


def tiny(config: dict):
    batch, height, width = config.pop("latent")
    model = networks.randomise(AutoencoderTiny(**config))
    factor = 2 ** (len(model.config.num_decoder_blocks) - 1)
    inputs = {
        "latent": 2 * torch.randn(batch, model.config.latent_channels, height, width),
        "picture": torch.rand(batch, 3, factor * height, factor * width) * 2 - 1,
    }

    def forward(latent, picture):
        return {"picture": model.decode(latent).sample, "mean": model.encode(picture).latents}

    return model, inputs, forward


def make_tiled(out: pathlib.Path) -> None:
    """One more VAE, large enough to be cut up, and how far off diffusers is when it does so."""
    networks.make_one("tiled", networks.vae, TILED, out, {"fp32": torch.float32})
    model = AutoencoderKL.from_config(json.loads((out / "tiled.json").read_text())).eval()
    tensors = load_file(out / "tiled.safetensors")
    model.load_state_dict({k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    model.enable_tiling()
    picture = model.decode(tensors["input.latent"]).sample
    distance = (picture - tensors["output.fp32.picture"]).abs()
    size = tensors["output.fp32.picture"].abs().max()
    save_file(tensors, out / "tiled.safetensors",
              metadata={"diffusers_tiles": json.dumps({"max": (distance.max() / size).item(),
                                                       "mean": (distance.mean() / size).item()})})


def save_tiny(folder: pathlib.Path, stages: int) -> AutoencoderTiny:
    torch.manual_seed(11)
    widths = (8,) * stages
    model = networks.randomise(AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, num_encoder_blocks=(1, 3, 3, 3)[:stages],
        num_decoder_blocks=(3, 3, 3, 1)[-stages:]))
    model.decoder.layers[-1].weight.mul_(0.3)  # span 0…1, so that a wrong latent shows in the pixels
    model.decoder.layers[-1].bias.fill_(0.5)
    model = model.to(torch.bfloat16).float()
    model.save_pretrained(folder)
    return model


def save_fixed(out: pathlib.Path) -> AutoencoderKL:
    """As SDXL's VAE for fp16: no upcast, and its own scale."""
    torch.manual_seed(12)
    model = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4, sample_size=64, force_upcast=False,
        scaling_factor=0.26, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    model.eval().decoder.conv_out.weight.mul_(2)
    model.save_pretrained(out / "fixed")
    return model


def cases() -> list[dict]:
    listed = []

    def add(model: str, vae: str, **request) -> None:
        flag = "vae" if vae == "fixed" else "taesd"
        listed.append(dict({"model": model, flag: vae, "prompt": pipeline.PROMPT, "steps": 4,
                            "cfg-scale": 5, "seed": 7, "width": 64, "height": 48},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", "tiny")
    add("sd1", "tiny", sampler="euler_a", batch_count=2, batch_size=2)
    add("sd1", "tiny", init_img="first.png", strength=0.6, sampler="euler")
    add("sd1", "tiny", init_img="first.png", strength=0.6, sampler="euler_a")
    add("sd1", "fixed")
    add("sd1", "fixed", init_img="first.png", strength=0.6, sampler="euler")
    add("xl", "tiny_xl", cfg_scale=2)
    add("xl", "fixed", cfg_scale=2)
    return listed


def load(case: dict, vaes: dict):
    starts, xl = "init-img" in case, case["model"] == "xl"
    kind = StableDiffusionXLPipeline if xl else StableDiffusionImg2ImgPipeline if starts else StableDiffusionPipeline
    more = {"add_watermarker": False} if xl else {"safety_checker": None}
    vae = vaes[case.get("taesd") or case["vae"]]
    pipe = kind.from_pretrained(GOLDEN / image_to_image.FOLDERS[case["model"]], vae=vae, torch_dtype=torch.float32,
                                **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(case: dict, pipe) -> tuple[torch.Tensor, torch.Tensor]:
    if "init-img" in case:
        picture = Image.open(GOLDEN / "image_to_image" / case["init-img"]).convert("RGB")
        return image_to_image.draw(pipe, case, picture)
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **changes)
    count = case.get("batch-count", 1)
    latents = pipe(prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                   width=case["width"], height=case["height"], num_images_per_prompt=count, output_type="latent",
                   generator=[torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]).images
    return image_to_image.with_pixels(pipe, latents)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    for name, config in TINY.items():
        networks.make_one(name, tiny, config, out)
    make_tiled(out)
    # The tiny SDXL's own VAE has two levels.
    vaes = {"tiny": save_tiny(out / "tiny", 4), "tiny_xl": save_tiny(out / "tiny_xl", 2), "fixed": save_fixed(out)}
    tensors, listed = {}, cases()
    for number, case in enumerate(listed):
        latents, pixels = draw(case, load(case, vaes))
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
