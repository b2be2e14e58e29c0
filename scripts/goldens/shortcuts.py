"""What spares the U-Net work, by the papers' own packages over diffusers' pipelines: DeepCache, tomesd, tgate
(pip install --no-deps -r scripts/goldens/shortcuts_requirements.txt). The tiny models of the areas pipeline and
families; and a U-Net of three levels alone, for every branch of DeepCache's."""

import importlib.metadata
import json
import pathlib

import image_to_image
import pipeline
import torch
from diffusers import (StableDiffusionImg2ImgPipeline, StableDiffusionPAGPipeline, StableDiffusionPipeline,
                       StableDiffusionXLPipeline, UNet2DConditionModel)
from diffusers.models.unets import unet_2d_blocks
from guidance import Pipes, generators, with_sampler
from PIL import Image
from safetensors.torch import save_file

PINS = pathlib.Path(__file__).with_name("shortcuts_requirements.txt")
# DeepCache counts three layers a block, as in U-Nets with two residual blocks a level; the tiny models have one.
BRANCH_IDS = {0: 0, 1: 1, 2: 3, 3: 4}


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "steps": 6, "cfg-scale": 4, "seed": 31,
                            "sampler": "ddim"}, **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", deep_cache=[2])
    add("sd1", deep_cache=[3, 1], sampler="euler")
    add("sd1", deep_cache=[2, 2], sampler="dpm++2m", negative_prompt=pipeline.NEGATIVE, batch_count=2)
    add("sd1", deep_cache=[4, 3], cfg_scale=1)
    add("sd1", deep_cache=[2], width=72, height=56)
    add("sd1", deep_cache=[2, 1], freeu=[1.2, 1.4, 0.8, 0.5])
    add("sd1", deep_cache=[2, 1], pag_scale=2)
    add("sd1", deep_cache=[2], init_img="first.png", strength=0.7)
    add("sd2", deep_cache=[3])
    add("sd2", deep_cache=[2, 2], sampler="euler_a", batch_count=2)
    add("xl", deep_cache=[2], cfg_scale=1.5)
    add("xl", deep_cache=[3, 2], cfg_scale=1.5, sampler="euler")

    add("sd1", tome=[0.5])
    add("sd1", tome=[0.3, 2], sampler="euler", batch_count=2)
    add("sd1", tome=[0.75], sampler="dpm++2m", negative_prompt=pipeline.NEGATIVE)
    add("sd1", tome=[0.5], cfg_scale=1)
    add("sd1", tome=[0.6], width=72, height=56)
    add("sd2", tome=[0.5])
    add("xl", tome=[0.5, 2], cfg_scale=1.5)
    add("xl", tome=[0.4, 8], cfg_scale=1.5, width=40, height=72)

    add("sd1", tgate=3)
    add("sd1", tgate=1, sampler="euler")
    add("sd1", tgate=2, sampler="dpm++2m", negative_prompt=pipeline.NEGATIVE, batch_count=2)
    add("sd2", tgate=2, width=72, height=56)
    add("xl", tgate=3, cfg_scale=1.5)
    add("xl", tgate=2, cfg_scale=1.5, sampler="euler", negative_prompt=pipeline.NEGATIVE, batch_count=2)

    add("sd1", deep_cache=[2, 1], tome=[0.5])
    return listed


def cache_deep(pipe, interval: int, branch_id: int):
    from DeepCache import DeepCacheSDHelper

    helper = DeepCacheSDHelper(pipe=pipe)
    helper.set_params(cache_interval=interval, cache_branch_id=branch_id)
    helper.enable()
    return helper


def let_inputs_be() -> None:
    """diffusers' FreeU writes into what it is given, which DeepCache keeps: its factors would pile up."""
    apply = unet_2d_blocks.apply_freeu
    unet_2d_blocks.apply_freeu = lambda index, x, skip, **factors: apply(index, x.clone(), skip.clone(), **factors)


class SeededMerging:
    """tomesd, its draws those of a generator that each call of the U-Net seeds by its number. A batch of one, for which
    tomesd would not draw, is given twice."""

    def __init__(self, unet, ratio: float, coarsest: int = 1) -> None:
        import tomesd

        self.package, self.unet, self.plain, self.call = tomesd, unet, unet.forward, 0
        tomesd.apply_patch(unet, ratio=ratio, max_downsample=coarsest)
        unet.forward = self.forward

    def forward(self, sample, timestep, encoder_hidden_states, **more):
        self.unet._tome_info["size"] = tuple(sample.shape[2:])
        self.unet._tome_info["args"]["generator"] = torch.Generator("cpu").manual_seed(self.call)
        self.call += 1
        if sample.shape[0] % 2 == 0:
            return self.plain(sample, timestep, encoder_hidden_states=encoder_hidden_states, **more)
        output = self.plain(sample.repeat(2, 1, 1, 1), timestep,
                            encoder_hidden_states=encoder_hidden_states.repeat(2, 1, 1), **more)
        return (output[0][:1],)

    def disable(self) -> None:
        self.package.remove_patch(self.unet)
        self.unet.forward = self.plain


class Gate:
    """tgate's pipelines, without the later paper's sparing of self-attention."""

    def __init__(self, pipe, step: int) -> None:
        import tgate

        self.pipe, self.step = pipe, step
        load = tgate.TgateSDXLLoader if "XL" in type(pipe).__name__ else tgate.TgateSDLoader
        load(pipe)
        self.attentions = [module for module in pipe.unet.modules() if type(module).__name__ == "Attention"]

    def __call__(self, **arguments):
        result = self.pipe.tgate(gate_step=self.step, sp_interval=1, fi_interval=1, **arguments)
        for module in self.attentions:
            module.cache = None
        return result

    def disable(self) -> None:
        for module in self.attentions:
            del module.forward


def draw(pipes: Pipes, case: dict) -> torch.Tensor:
    """Final latents."""
    kind = StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline
    parts, more = {}, {}
    if "pag-scale" in case:
        kind, parts, more = StableDiffusionPAGPipeline, {"pag_applied_layers": ["mid"]}, {"pag_scale": case["pag-scale"]}
    if "init-img" in case:
        picture = Image.open(image_to_image.GOLDEN / "image_to_image" / case["init-img"]).convert("RGB")
        kind, more = StableDiffusionImg2ImgPipeline, {"image": picture, "strength": case["strength"]}
    if "width" in case:
        more |= {"width": case["width"], "height": case["height"]}
    found = []
    for generator in generators(case):  # alone: a batch must give the same
        pipe = with_sampler(pipes.get(kind, case["model"], **parts), case)
        if "freeu" in case:
            b1, b2, s1, s2 = case["freeu"]
            pipe.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)
        call, undone = pipe, []
        if "tome" in case:
            undone.append(SeededMerging(pipe.unet, *case["tome"]))
        if "deep-cache" in case:
            interval, branch = (case["deep-cache"] + [0])[:2]
            undone.append(cache_deep(pipe, interval, BRANCH_IDS[branch]))
        if "tgate" in case:
            call = Gate(pipe, case["tgate"])
            undone.append(call)
        found.append(call(prompt=case["prompt"], negative_prompt=case.get("negative-prompt"),
                          num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                          generator=generator, output_type="latent", **more).images)
        for helper in reversed(undone):
            helper.disable()
        if "freeu" in case:
            pipe.disable_freeu()
        pipe.unet.set_default_attn_processor()
    return torch.cat(found)


class Steps:
    """As much of a pipeline as DeepCache looks at."""

    def __init__(self, unet, timesteps: torch.Tensor) -> None:
        self.unet, self.timesteps, self.scheduler = unet, timesteps, self


def make_branches(out: pathlib.Path) -> None:
    """A U-Net of SD1's shape, narrow: after a whole call, one by each branch."""
    torch.manual_seed(9)
    unet = UNet2DConditionModel(sample_size=8, block_out_channels=(8, 8, 16), layers_per_block=2, norm_num_groups=4,
                                attention_head_dim=2, cross_attention_dim=8,
                                down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")).eval()
    config = dict(unet.config, _class_name="UNet2DConditionModel")
    (out / "unet_branches.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    generator = torch.Generator("cpu").manual_seed(4)
    timesteps = torch.tensor([801, 601])
    inputs = {"samples": torch.randn((2, 2, 4, 9, 6), generator=generator), "timesteps": timesteps.float(),
              "context": torch.randn((2, 5, 8), generator=generator)}
    tensors = {f"weight.{name}": weight for name, weight in unet.state_dict().items()}
    tensors |= {f"input.{name}": tensor for name, tensor in inputs.items()}
    for branch in range(9):
        helper = cache_deep(Steps(unet, timesteps), 2, branch)
        for sample, timestep in zip(inputs["samples"], timesteps):
            output = unet(sample, timestep, encoder_hidden_states=inputs["context"], return_dict=False)[0]
        helper.disable()
        tensors[f"output.fp32.{branch}"] = output.contiguous()
    save_file(tensors, out / "unet_branches.safetensors")


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    for line in PINS.read_text().split():
        package, wanted = line.split("==")
        assert importlib.metadata.version(package) == wanted, f"pip install --no-deps -r {PINS}"
    let_inputs_be()
    make_branches(out)
    pipes, tensors, listed = Pipes(), {}, cases()
    for number, case in enumerate(listed):
        latents = draw(pipes, case)
        assert latents.isfinite().all(), case
        kind = StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline
        pixels = image_to_image.with_pixels(pipes.get(kind, case["model"]), latents)
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
