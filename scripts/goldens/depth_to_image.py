"""Pictures that are drawn after a picture's depth, by diffusers' depth-to-image pipeline: the tiny SD2 of the area pipeline
with a U-Net of five channels, a scheduler and a depth estimator of its own. And what transformers' depth-estimation
pipeline makes of pictures, with that estimator and with another one, of another kind."""

import json
import pathlib
import shutil

import depth
import families
import image_to_image
import numpy as np
import pipeline
import torch
import transformers
from diffusers import PNDMScheduler, StableDiffusionDepth2ImgPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import DPTForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

GOLDEN = image_to_image.GOLDEN
SD2 = GOLDEN / "pipeline" / "models" / "sd2"
PICTURES = GOLDEN / "image_to_image"
NARROW = dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=24, fusion_hidden_size=8)
ESTIMATORS = {
    "hybrid": (dict(NARROW, is_hybrid=True, image_size=48, backbone_out_indices=[0, 1, 2, 3],
                    neck_hidden_sizes=[16, 24, 10, 12], reassemble_factors=[1, 1, 1, 0.5],
                    backbone_featmap_shape=[1, 32, 3, 3],
                    backbone_config=dict(depth.BIT, hidden_sizes=[16, 24, 32], depths=[1, 1, 1]), picture=[1, 48]),
               dict(size={"height": 48, "width": 48})),
    "vit": (dict(NARROW, image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 12, 12],
                 picture=[1, 32]),
            dict(size={"height": 43, "width": 37}, ensure_multiple_of=8, resample=2,
                 image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])),
}  # fmt: skip


def save_estimator(name: str, network: pathlib.Path, preparation: pathlib.Path) -> None:
    config, processor = ESTIMATORS[name]
    torch.manual_seed(sum(name.encode()))
    model, _, _ = depth.depth(dict(config))
    families.save(model, network)
    DPTImageProcessorPil(**processor).save_pretrained(preparation)


def save_model(folder: pathlib.Path) -> None:
    """What it has otherwise than the tiny SD2."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(5)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=5, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=24,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=(2, 4), use_linear_projection=True,
        upcast_attention=True)  # fmt: skip
    unet.conv_in.weight[:, 4] *= 3  # so that the depth shows
    families.save(unet, folder / "unet")
    save_estimator("hybrid", folder / "depth_estimator", folder / "feature_extractor")
    index = json.loads((SD2 / "model_index.json").read_text()) | {
        "_class_name": "StableDiffusionDepth2ImgPipeline", "scheduler": ["diffusers", "PNDMScheduler"],
        "depth_estimator": ["transformers", "DPTForDepthEstimation"],
        "feature_extractor": ["transformers", "DPTImageProcessor"]}  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    # As the published folder has it.
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(
        {**families.BETAS, "_class_name": "PNDMScheduler", "clip_sample": False, "prediction_type": "epsilon",
         "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None}, indent=2))


def write_depth(out: pathlib.Path) -> None:
    """A hill before a slope, of another size than any picture."""
    y, x = np.mgrid[0:37, 0:52]
    grey = 40 + 2.5 * y + 110 * np.exp(-((x - 20) ** 2 + (y - 15) ** 2) / 60)
    Image.fromarray(grey.astype(np.uint8)).save(out / "depth.png")


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(**request) -> None:
        listed.append(dict({"model": "depth", "prompt": pipeline.PROMPT, "init-img": "first.png", "steps": 6,
                            "cfg-scale": 5, "seed": 17},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add()
    add(strength=1)
    for sampler in ("ddim", "euler", "euler_a", "heun", "lms", "dpm++2m", "unipc"):
        add(strength=0.6, sampler=sampler, negative_prompt=pipeline.NEGATIVE)
    add(strength=1, sampler="euler_a", init_img="second.png")
    add(strength=0.6, sampler="ddim", cfg_scale=1, width=48, height=64)
    add(strength=0.6, sampler="euler_a", batch_count=2, batch_size=2)
    add(strength=0.6, sampler="euler", depth_img="depth.png")
    add(strength=1, sampler="ddim", depth_img="depth.png", init_img="second.png", batch_count=2)
    add(depth_img="depth.png", width=40, height=56)
    return listed


def draw(pipe, case: dict, out: pathlib.Path) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    loaded = pipe.scheduler
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(loaded.config, **changes)
    count = case.get("batch-count", 1)
    picture = Image.open(PICTURES / case["init-img"]).convert("RGB")
    if "width" in case:
        picture = picture.resize((case["width"], case["height"]), Image.LANCZOS)
    more = {"negative_prompt": case["negative-prompt"]} if "negative-prompt" in case else {}
    if "depth-img" in case:
        more["depth_map"] = torch.from_numpy(np.array(Image.open(out / case["depth-img"]))).float()[None]
    latents = pipe(prompt=case["prompt"], image=picture, strength=case.get("strength", 0.75),
                   num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                   generator=[torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)],
                   num_images_per_prompt=count, output_type="latent", **more).images
    pipe.scheduler = loaded
    return image_to_image.with_pixels(pipe, latents)


def load(folder: pathlib.Path) -> StableDiffusionDepth2ImgPipeline:
    components = image_to_image.StableDiffusionImg2ImgPipeline.from_pretrained(
        SD2, torch_dtype=torch.float32, safety_checker=None).components
    pipe = StableDiffusionDepth2ImgPipeline(
        vae=components["vae"], text_encoder=components["text_encoder"], tokenizer=components["tokenizer"],
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
        scheduler=PNDMScheduler.from_pretrained(folder / "scheduler"),
        depth_estimator=DPTForDepthEstimation.from_pretrained(folder / "depth_estimator", dtype=torch.float32),
        feature_extractor=DPTImageProcessorPil.from_pretrained(folder / "feature_extractor"))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def estimates(folders: dict[str, tuple[pathlib.Path, pathlib.Path]]) -> dict[str, torch.Tensor]:
    """`NAME.PICTURE`: grey, uint8 [H, W]."""
    tensors = {}
    for name, (network, preparation) in folders.items():
        estimate = transformers.pipeline(
            "depth-estimation", model=DPTForDepthEstimation.from_pretrained(network, dtype=torch.float32),
            image_processor=DPTImageProcessorPil.from_pretrained(preparation))
        for picture in image_to_image.SIZES:
            grey = np.array(estimate(Image.open(PICTURES / picture).convert("RGB"))["depth"])
            assert grey.std() > 15, (name, picture, grey.std())
            tensors[f"{name}.{picture}"] = torch.from_numpy(grey)
    return tensors


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_depth(out)
    model, vit = out / "model", out / "vit"
    save_model(model)
    shutil.rmtree(vit, ignore_errors=True)
    save_estimator("vit", vit, vit)
    save_file(estimates({"hybrid": (model / "depth_estimator", model / "feature_extractor"), "vit": (vit, vit)}),
              out / "estimates.safetensors")
    pipe = load(model)
    tensors, listed = {}, cases()
    for number, case in enumerate(listed):
        latents, pixels = draw(pipe, case, out)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    flat = draw(pipe, dict(listed[0], **{"depth-img": "depth.png"}), out)[1].float()
    assert (flat - tensors["000.image"]).abs().max() > 20  # the depth shows
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
