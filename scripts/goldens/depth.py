"""Tiny random depth estimators: DPT-Hybrid, and DPT of a plain ViT. Goldens as in networks.py, in fp32, HALF in half types, too.

The output `depth` is what the reference estimates.
"""

import pathlib

import networks
import torch
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


def make(out: pathlib.Path) -> None:
    for name, config in DEPTH.items():
        types = networks.TYPES if name in HALF else {"fp32": torch.float32}
        networks.make_one(name, depth, config, out, types)
