"""Guidance beyond the scale: by diffusers' pipelines where they have it (perturbed attention, self-attention, FreeU),
else by a loop of its own over diffusers' U-Net and scheduler, with the papers' formulas in float64 (intervals, CFG++,
dynamic thresholding, classifier guidance). The tiny models of the areas pipeline and families."""

import json
import pathlib
import sys

import diffusers
import image_to_image
import pipeline
import torch
from diffusers import (StableDiffusionPAGImg2ImgPipeline, StableDiffusionPAGPipeline, StableDiffusionPipeline,
                       StableDiffusionSAGPipeline, StableDiffusionXLPAGPipeline, StableDiffusionXLPipeline)
from PIL import Image
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo_model"))
from classifier import LatentClassifier  # noqa: E402

GOLDEN = image_to_image.GOLDEN
FOLDERS = {"sd1": "pipeline/models/sd1", "sd2": "pipeline/models/sd2", "xl": "families/models/xl"}
CLASSES = ("plain", "striped", "dotted")
FORMULAS = ("cfg-interval", "cfg-plus-plus", "dynamic-threshold", "class")


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": pipeline.PROMPT, "steps": 5, "cfg-scale": 4, "seed": 21},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    every = "down_blocks.0,mid,up_blocks.1.attentions.[01]"
    add("sd1", pag_scale=3, sampler="ddim")
    add("sd1", pag_scale=2.5, sampler="euler", pag_layers=every)
    add("sd1", pag_scale=3, sampler="euler_a", cfg_scale=1, pag_layers="down_blocks")
    add("sd1", pag_scale=3, sampler="dpm++2m", guidance_rescale=0.6, negative_prompt=pipeline.NEGATIVE, batch_count=2)
    add("sd2", pag_scale=3)
    add("xl", pag_scale=1.5, cfg_scale=1.5)
    add("sd1", pag_scale=3, sampler="ddim", init_img="first.png", strength=0.6)
    add("sd1", sag_scale=0.75, sampler="ddim")
    add("sd1", sag_scale=1.5)
    add("sd1", sag_scale=1, sampler="ddim", cfg_scale=1)
    add("sd1", sag_scale=1, sampler="dpm++2m", width=48, height=64, negative_prompt=pipeline.NEGATIVE, batch_count=2)
    add("sd2", sag_scale=0.75)
    for model, scale in (("sd1", 4), ("sd2", 4), ("xl", 1.5)):
        add(model, freeu=[1.5, 1.6, 0.9, 0.2], cfg_scale=scale)
    add("sd1", freeu=[1.2, 1.4, 0.8, 0.5], sampler="euler", width=48, height=64, batch_count=2)
    for sampler in ("ddim", "euler"):
        add("sd1", cfg_interval="20%,80%", sampler=sampler)
        add("sd1", cfg_interval="0.5,2", sampler=sampler)
        add("sd1", cfg_plus_plus=True, cfg_scale=0.6, sampler=sampler)
        add("sd1", dynamic_threshold=[2, 99.5], cfg_scale=12, sampler=sampler)
    add("sd1", cfg_plus_plus=True, cfg_scale=1, sampler="euler_a", batch_count=2)
    add("sd2", cfg_plus_plus=True, cfg_scale=0.4, sampler="ddim")
    add("xl", cfg_plus_plus=True, cfg_scale=0.5, sampler="euler")
    add("sd1", cfg_plus_plus=True, cfg_scale=0.6, sampler="euler", cfg_interval="40%,80%")
    add("sd2", dynamic_threshold=[3], cfg_scale=9, sampler="ddim")
    add("sd1", **{"class": "striped"}, classifier_scale=40, sampler="ddim")
    add("sd1", **{"class": "2"}, classifier_scale=25, sampler="euler", batch_count=2)
    add("sd2", **{"class": "dotted"}, classifier_scale=40, sampler="ddim")
    return listed


class Pipes:
    """Each class over the same networks."""

    def __init__(self) -> None:
        self.plain: dict = {}

    def components(self, model: str) -> dict:
        if model not in self.plain:
            kind = StableDiffusionXLPipeline if model == "xl" else StableDiffusionPipeline
            more = {"add_watermarker": False} if model == "xl" else {"safety_checker": None}
            self.plain[model] = kind.from_pretrained(GOLDEN / FOLDERS[model], torch_dtype=torch.float32, **more)
        return dict(self.plain[model].components)

    def get(self, kind, model: str, **more):
        parts = self.components(model)
        if "XL" in kind.__name__:
            more["add_watermarker"] = False
        else:
            more["requires_safety_checker"] = False
        pipe = kind(**parts, **more)
        pipe.set_progress_bar_config(disable=True)
        return pipe


def with_sampler(pipe, case: dict):
    if "sampler" in case:
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **changes)
    return pipe


def generators(case: dict) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(case.get("batch-count", 1))]


def by_pipeline(pipes: Pipes, case: dict) -> torch.Tensor:
    """What diffusers' own pipeline of the kind gives: final latents."""
    model, more = case["model"], {}
    if "pag-scale" in case:
        kind = StableDiffusionXLPAGPipeline if model == "xl" else StableDiffusionPAGPipeline
        if "init-img" in case:
            kind = StableDiffusionPAGImg2ImgPipeline
            more = {"image": Image.open(GOLDEN / "image_to_image" / case["init-img"]).convert("RGB"),
                    "strength": case["strength"]}
        pipe = pipes.get(kind, model, pag_applied_layers=case.get("pag-layers", "mid").split(","))
        more["pag_scale"] = float(case["pag-scale"])
    elif "sag-scale" in case:
        pipe = pipes.get(StableDiffusionSAGPipeline, model)
        more["sag_scale"] = float(case["sag-scale"])
    else:
        pipe = pipes.get(StableDiffusionXLPipeline if model == "xl" else StableDiffusionPipeline, model)
        b1, b2, s1, s2 = case["freeu"]
        pipe.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)
    if "guidance-rescale" in case:
        more["guidance_rescale"] = case["guidance-rescale"]
    if "width" in case:
        more |= {"width": case["width"], "height": case["height"]}
    with_sampler(pipe, case)
    found = []
    for generator in generators(case):  # alone: a batch must give the same
        found.append(pipe(prompt=case["prompt"], negative_prompt=case.get("negative-prompt"),
                          num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                          generator=generator, output_type="latent", **more).images)
    if "freeu" in case:
        pipe.disable_freeu()
    pipe.unet.set_default_attn_processor()
    return torch.cat(found)


def mimicked(uncond: torch.Tensor, cond: torch.Tensor, scale: float, mimic: float, quantile: float) -> torch.Tensor:
    """sd-dynamic-thresholding at its defaults, of clean latents [B, 4, h, w]."""
    out = torch.empty_like(cond)
    for b in range(cond.shape[0]):
        for c in range(cond.shape[1]):
            wide = uncond[b, c] + scale * (cond[b, c] - uncond[b, c])
            narrow = uncond[b, c] + mimic * (cond[b, c] - uncond[b, c])
            centred = wide - wide.mean()
            wanted = (narrow - narrow.mean()).abs().max()
            largest = max(wanted, torch.quantile(centred.abs().flatten(), quantile))
            out[b, c] = centred.clamp(-largest, largest) / largest * wanted + wide.mean()
    return out


class Formulas:
    """One picture by a loop over U-Net and scheduler. x is kept in float64 as signal·x0 + noise·eps, whatever frame the
    scheduler keeps it in."""

    def __init__(self, pipe, case: dict, classifier: LatentClassifier) -> None:
        self.pipe, self.case, self.classifier = pipe, case, classifier
        scheduler = pipe.scheduler
        scheduler.set_timesteps(case["steps"])
        self.timesteps = scheduler.timesteps
        if hasattr(scheduler, "sigmas"):
            self.sigmas = scheduler.sigmas.double().tolist()
        else:
            stride = scheduler.config.num_train_timesteps // case["steps"]
            bars = [scheduler.alphas_cumprod[t] for t in self.timesteps]
            last = int(self.timesteps[-1]) - stride
            bars.append(scheduler.alphas_cumprod[last] if last >= 0 else scheduler.final_alpha_cumprod)
            self.sigmas = [float(((1 - bar.double()) / bar.double()).sqrt()) for bar in bars]

    def guides(self, i: int) -> bool:
        if "cfg-interval" not in self.case:
            return True
        low, high = self.case["cfg-interval"].split(",")
        if low.endswith("%"):
            n = len(self.timesteps)
            return int(float(low[:-1]) / 100 * n) <= i < int(float(high[:-1]) / 100 * n)
        return float(low) < self.sigmas[i] <= float(high)

    def draw(self, generator: torch.Generator) -> torch.Tensor:
        pipe, case = self.pipe, self.case
        shape = (1, 4, pipe.unet.config.sample_size, pipe.unet.config.sample_size)
        noise = torch.randn(shape, generator=generator).double()
        added = [{}, {}]
        if case["model"] == "xl":
            texts = pipe.encode_prompt(case["prompt"], negative_prompt=case.get("negative-prompt"))
            contexts, pooled = (texts[1], texts[0]), (texts[3], texts[2])
            side = shape[-1] * pipe.vae_scale_factor
            sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32)
            added = [{"added_cond_kwargs": {"text_embeds": text, "time_ids": sizes}} for text in pooled]
        else:
            conditional, unconditional = pipe.encode_prompt(case["prompt"], "cpu", 1, True, case.get("negative-prompt", ""))
            contexts = (unconditional, conditional)
        # x in the exploding frame: x0 + sigma eps
        exploding = hasattr(pipe.scheduler, "sigmas")
        start = float(pipe.scheduler.init_noise_sigma) if exploding else (self.sigmas[0] ** 2 + 1) ** 0.5
        x = noise * start
        for i, t in enumerate(self.timesteps):
            sigma, then = self.sigmas[i], self.sigmas[i + 1]
            signal = 1 / (sigma**2 + 1) ** 0.5
            seen = (x * signal).float()
            said = [pipe.unet(seen, t, encoder_hidden_states=context, **more).sample.double()
                    for context, more in zip(contexts, added, strict=True)]
            clean = [self.clean(output, x, sigma) for output in said]
            away, to = clean
            x0 = to
            if self.guides(i):
                scale = float(case["cfg-scale"])
                x0 = away + scale * (to - away)
                if "dynamic-threshold" in case:
                    mimic, *percentile = case["dynamic-threshold"]
                    x0 = mimicked(away, to, scale, float(mimic), percentile[0] / 100 if percentile else 1.0)
            if "class" in case:
                x0 = self.led(x0, seen, t, sigma)
            by = away if "cfg-plus-plus" in case and self.guides(i) else x0
            direction = (x - by) / sigma
            if case["sampler"] == "euler_a":
                up = (then**2 * (sigma**2 - then**2) / sigma**2) ** 0.5
                down = (then**2 - up**2) ** 0.5
                x = x0 + direction * down + up * torch.randn(shape, generator=generator).double()
            else:
                x = x0 + direction * then
        # The last level of these DDIM schedules is not 0, and the latent is the variance-preserving one.
        return (x if exploding else x / (self.sigmas[-1] ** 2 + 1) ** 0.5).float()

    def clean(self, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        if self.pipe.scheduler.config.prediction_type == "v_prediction":
            return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
        return x - sigma * output

    def led(self, x0: torch.Tensor, seen: torch.Tensor, t: torch.Tensor, sigma: float) -> torch.Tensor:
        """Dhariwal & Nichol 2021, Algorithm 2: eps - s sqrt(1 - alpha_bar) grad log p, as a change of x0."""
        name = self.case["class"]
        target = int(name) if name.isdigit() else CLASSES.index(name)
        with torch.enable_grad():
            x = seen.clone().requires_grad_(True)
            log_p = self.classifier(x, t.reshape(1).float()).log_softmax(1)[:, target].sum()
            gradient = torch.autograd.grad(log_p, x)[0].double()
        noise = sigma / (sigma**2 + 1) ** 0.5
        return x0 + sigma * self.case["classifier-scale"] * noise * gradient


def make_classifier(out: pathlib.Path) -> LatentClassifier:
    torch.manual_seed(5)
    network = LatentClassifier(block_out_channels=(16, 24), norm_num_groups=8, classes=CLASSES, norm_eps=1e-4,
                               layers_per_block=2)
    for name, weight in network.named_parameters():
        weight.data.normal_(0, 0.02 if name.endswith("bias") else 1 / max(weight[0].numel(), 1) ** 0.5)
        if "norm" in name and name.endswith("weight"):
            weight.data.add_(1)
    network.save_pretrained(out / "classifier")
    return LatentClassifier.from_pretrained(out / "classifier")


def make_gradients(pipes: Pipes, classifier: LatentClassifier, out: pathlib.Path) -> None:
    """Of the classifier's logits and of the U-Net's output, weighted, in what they are given."""
    unet = pipes.components("sd1")["unet"]
    side, generator = unet.config.sample_size, torch.Generator("cpu").manual_seed(3)
    tensors = {"x": torch.randn((2, 4, side, side), generator=generator),
               "timestep": torch.tensor([801.0, 20.5]),
               "context": torch.randn((2, 77, unet.config.cross_attention_dim), generator=generator)}
    with torch.enable_grad():
        for name, network in (("unet", lambda x: unet(x, tensors["timestep"], tensors["context"]).sample),
                              ("classifier", lambda x: classifier(x, tensors["timestep"]))):
            x = tensors["x"].clone().requires_grad_(True)
            output = network(x)
            weights = torch.randn(output.shape, generator=generator)
            tensors |= {f"{name}.output": output.detach(), f"{name}.weights": weights,
                        f"{name}.gradient": torch.autograd.grad((output * weights).sum(), x)[0]}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / "gradients.safetensors")


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    pipes, classifier, tensors, listed = Pipes(), make_classifier(out), {}, cases()
    make_gradients(pipes, classifier, out)
    for number, case in enumerate(listed):
        kind = StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline
        pipe = with_sampler(pipes.get(kind, case["model"]), case)
        if any(key in case for key in FORMULAS):
            loop = Formulas(pipe, case, classifier)
            latents = torch.cat([loop.draw(generator) for generator in generators(case)])
        else:
            latents = by_pipeline(pipes, case)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = image_to_image.with_pixels(pipe, latents)
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
