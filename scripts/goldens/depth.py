"""Tiny random depth estimators: DPT-Hybrid, and DPT of a plain ViT. Goldens as in networks.py, in fp32, HALF in half types, too.

The output `depth` is what the reference estimates.
"""

import json
import pathlib

import networks
import torch
from safetensors.torch import save_file
from transformers import DPTConfig, DPTForDepthEstimation

TINY = dict(
    hidden_size=24, num_hidden_layers=4, num_attention_heads=4, intermediate_size=40, fusion_hidden_size=12,
)  # fmt: skip
BIT = dict(
    model_type="bit", global_padding="same", layer_type="bottleneck", depths=[1, 2, 1], hidden_sizes=[16, 24, 40, 64],
    num_groups=4, embedding_size=8, out_features=["stage1", "stage2", "stage3"], embedding_dynamic_padding=True,
)  # fmt: skip

# The config's keys, and under `picture` the shape of the input.
DEPTH = {
    "depth_hybrid": dict(
        TINY, is_hybrid=True, image_size=48, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16, 24, 20, 12],
        reassemble_factors=[1, 1, 1, 0.5], backbone_featmap_shape=[1, 40, 3, 3], backbone_config=BIT, picture=[2, 48],
    ),
    # Of an odd number of rows on the way.
    "depth_hybrid_odd": dict(
        TINY, is_hybrid=True, image_size=80, backbone_out_indices=[2, 2, 3, 1], neck_hidden_sizes=[32, 24, 10, 14],
        reassemble_factors=[4, 2, 2, 1], backbone_featmap_shape=[1, 40, 5, 5], num_attention_heads=3,
        backbone_config=dict(BIT, hidden_act="gelu", num_groups=8, depths=[2, 1, 1], hidden_sizes=[32, 24, 40]),
        picture=[1, 80],
    ),
    # Of another size than its positions.
    "depth_vit": dict(
        TINY, image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[10, 12, 14, 16],
        hidden_act="gelu_new", layer_norm_eps=1e-3, picture=[1, 48],
    ),
    "depth_vit_add": dict(
        TINY, image_size=[24, 24], patch_size=6, backbone_out_indices=[3, 0, 2], neck_hidden_sizes=[10, 12, 14],
        reassemble_factors=[3, 1, 0.25], readout_type="add", qkv_bias=False, use_bias_in_fusion_residual=False,
        num_channels=1, picture=[1, 24],
    ),
    "depth_vit_ignore": dict(
        TINY, image_size=24, patch_size=12, backbone_out_indices=[1, 2], neck_hidden_sizes=[10, 12],
        reassemble_factors=[2, 1], readout_type="ignore", picture=[1, 24],
    ),
}  # fmt: skip

HALF = ("depth_hybrid", "depth_vit")  # in half types, too


def depth(config: dict):
    batch, side = config.pop("picture")
    model = networks.randomise(DPTForDepthEstimation(DPTConfig(**config)))
    for name, weight in model.dpt.embeddings.named_parameters():
        if name.endswith("projection.weight"):  # which `randomise` takes for a table
            weight /= weight[0].numel() ** 0.5
    model.head.head[4].bias.fill_(1.5)  # or half of the depths were 0
    inputs = {"picture": torch.randn(batch, model.config.num_channels, side, side)}

    def forward(picture):
        estimate = model(picture).predicted_depth
        assert (estimate > 0).double().mean() > 0.8
        return {"depth": estimate}

    return model, inputs, forward


PREPARATIONS = {
    "published": dict(do_resize=True, keep_aspect_ratio=False, size=384, ensure_multiple_of=1),
    "of_32": dict(keep_aspect_ratio=True, size={"height": 384, "width": 256}, ensure_multiple_of=32, resample=2),
    "imagenet": dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], keep_aspect_ratio=True),
    "rescaled_alone": dict(do_normalize=False, rescale_factor=1 / 127.5, do_resize=False),
    "normalised_alone": dict(do_rescale=False, image_mean=128.0, image_std=50.0, size=100, ensure_multiple_of=14),
}  # fmt: skip
SIZES = [(300, 401), (64, 64), (1000, 333), (383, 385), (385, 24), (400, 384), (120, 640)]


def pictures(out: pathlib.Path) -> None:
    """Under each preparation's name: the config, and the size that a picture of each of SIZES comes to. `pixels`, uint8,
    become `NAME` where nothing is resized; `depth` becomes `channel` for a latent of 5×7."""
    from types import SimpleNamespace

    import numpy
    from diffusers import StableDiffusionDepth2ImgPipeline
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    pixels = torch.randint(0, 256, (6, 5, 3), dtype=torch.uint8)
    tensors, listed = {"pixels": pixels}, {}
    for name, config in PREPARATIONS.items():
        processor = DPTImageProcessorPil(**config)
        made = processor(numpy.asarray(pixels), do_resize=False, return_tensors="pt", input_data_format="channels_last")
        tensors[name] = made.pixel_values.contiguous()
        sizes = [list(processor(numpy.zeros((*size, 3), dtype=numpy.uint8), return_tensors="pt").pixel_values.shape[2:])
                 for size in SIZES]
        listed[name] = {"config": json.loads(processor.to_json_string()), "sizes": sizes}
    (out / "preparations.json").write_text(json.dumps({"sizes": SIZES, "preparations": listed}, indent=1) + "\n")

    depth = torch.rand(2, 11, 9) * 30
    picture = torch.zeros(1, 3, 40, 56)
    tensors |= {"depth": depth, "channel": StableDiffusionDepth2ImgPipeline.prepare_depth_map(
        SimpleNamespace(vae_scale_factor=8), picture, depth, 2, False, torch.float32, torch.device("cpu"))}
    save_file(tensors, out / "pictures.safetensors")


def make(out: pathlib.Path) -> None:
    torch.manual_seed(11)
    pictures(out)
    for name, config in DEPTH.items():
        types = networks.TYPES if name in HALF else {"fp32": torch.float32}
        networks.make_one(name, depth, config, out, types)
