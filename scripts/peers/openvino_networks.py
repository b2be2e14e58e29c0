#!/usr/bin/env python3
"""The U-Net and the VAE's decoder of a diffusers folder as OpenVINO networks with one fixed shape.

usage: openvino_networks.py MODEL FOLDER WIDTH HEIGHT    writes unet.xml and decoder.xml into FOLDER
`put_networks` puts them into a diffusers pipeline in place of its own.
"""

import json
import pathlib
import sys
import types

import torch

PAIR = 2  # the unconditional and the conditional picture share a call


def convert(model: pathlib.Path, folder: pathlib.Path, width: int, height: int) -> None:
    import diffusers
    import openvino

    unet = load_unet(model / "unet")
    is_xl = unet.config.addition_embed_type == "text_time"
    latent = torch.zeros(PAIR, unet.config.in_channels, height // 8, width // 8)
    context = torch.zeros(PAIR, 77, unet.config.cross_attention_dim)
    inputs = [latent, torch.tensor(1.0), context]
    if is_xl:
        pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
        inputs += [torch.zeros(PAIR, pooled), torch.zeros(PAIR, 6)]

    class Denoiser(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = unet

        def forward(self, sample, timestep, encoder_hidden_states, text_embeds=None, time_ids=None):
            added = {"text_embeds": text_embeds, "time_ids": time_ids} if is_xl else None
            return self.unet(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]

    save(openvino, Denoiser(), inputs, folder / "unet.xml")
    (folder / "unet.json").write_text(json.dumps(dict(unet.config), default=str), encoding="utf-8")
    del unet, Denoiser

    vae = diffusers.AutoencoderKL.from_pretrained(model / "vae", torch_dtype=torch.float32).eval()

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = vae

        def forward(self, latent):
            return self.vae.decode(latent, return_dict=False)[0]

    save(openvino, Decoder(), [latent[:1, :4]], folder / "decoder.xml")
    (folder / "vae.json").write_text(json.dumps(dict(vae.config), default=str), encoding="utf-8")


def load_unet(folder: pathlib.Path) -> torch.nn.Module:
    """With its linear layers in 16 bits where OpenVINO can convert that (optimum does so too): SDXL's would not fit."""
    import diffusers
    from openvino.frontend.pytorch import patch_model

    make_traceable = getattr(patch_model, "__make_16bit_traceable", None)
    dtype = torch.float16 if make_traceable else torch.float32
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder, torch_dtype=dtype).eval()
    if make_traceable:
        make_traceable(unet)
    return unet


def save(openvino, module: torch.nn.Module, inputs: list[torch.Tensor], path: pathlib.Path) -> None:
    with torch.no_grad():
        network = openvino.convert_model(module.eval(), example_input=tuple(inputs),
                                         input=[list(tensor.shape) for tensor in inputs])
    openvino.save_model(network, path, compress_to_fp16=True)


class Network(torch.nn.Module):
    """Called and asked as diffusers' network of that name would be; its weights are OpenVINO's."""

    def __init__(self, path: pathlib.Path, config: pathlib.Path, dtype: torch.dtype, options: dict):
        super().__init__()
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", options)
        self.request = compiled.create_infer_request()
        self.config = types.SimpleNamespace(**json.loads(config.read_text(encoding="utf-8")))
        self.dtype, self.device = dtype, torch.device("cpu")
        embedding = getattr(self.config, "projection_class_embeddings_input_dim", None)
        self.add_embedding = types.SimpleNamespace(linear_1=types.SimpleNamespace(in_features=embedding))

    def infer(self, *inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.request.infer([tensor.float().numpy() for tensor in inputs], share_inputs=True,
                                     share_outputs=True)
        return torch.from_numpy(outputs[0]).to(self.dtype)


class UNet(Network):
    def forward(self, sample, timestep, encoder_hidden_states, added_cond_kwargs=None, return_dict=False, **_):
        added = added_cond_kwargs or {}
        more = [added[key] for key in ("text_embeds", "time_ids") if key in added]
        return (self.infer(sample, torch.as_tensor(timestep), encoder_hidden_states, *more),)


class Vae(Network):
    def decode(self, latent, return_dict=False, **_):
        return (self.infer(latent),)


def put_networks(pipe, arguments) -> None:
    options = {"INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[arguments.dtype],
               "INFERENCE_NUM_THREADS": arguments.threads, "PERFORMANCE_HINT": "LATENCY"}
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[arguments.dtype]
    folder = arguments.networks
    pipe.register_modules(unet=UNet(folder / "unet.xml", folder / "unet.json", dtype, options),
                          vae=Vae(folder / "decoder.xml", folder / "vae.json", dtype, options))


if __name__ == "__main__":
    convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
