"""Pictures from prompts with weights, schedules and AND: contexts by transformers' text encoders, weighted by each
tool's published rule (compel's by compel itself, which prompt_requirements.txt pins), drawn by a loop over diffusers'
U-Net and scheduler. The tiny models of the areas pipeline and families. And hidden states weighted by A1111's rule."""

import json
import pathlib

import image_to_image
import torch
from compel import CompelForSD, CompelForSDXL
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from prompts import grammars
from safetensors.torch import save_file

GOLDEN = image_to_image.GOLDEN
FOLDERS = {"sd1": "pipeline/models/sd1", "sd2": "pipeline/models/sd2", "xl": "families/models/xl"}
LONG = "a red house, green hills, a very green house, red hills, and a red red house, hills"  # 75 tokens end in it
NEGATIVE = "blurry (red:1.2)"


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, prompt: str, **request) -> None:
        listed.append(dict({"model": model, "prompt": prompt, "steps": 4, "cfg-scale": 4, "seed": 31, "sampler": "euler"},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    weights = "a (red:1.4) [house] ((on)) (green hills:-0.5)"
    for model in ("sd1", "sd2", "xl"):
        add(model, weights, negative_prompt=NEGATIVE)
        add(model, "[a red house:green (hills:1.3):2] by night", negative_prompt="[grey:blurry:0.5]")
        add(model, "a red house AND green hills:0.7 AND night:-0.4", negative_prompt=NEGATIVE)
        add(model, weights, negative_prompt=NEGATIVE, prompt_weighting="comfy")
        add(model, weights, negative_prompt=NEGATIVE, prompt_weighting="none")
        add(model, "a (red (house:0.6):1.3) \\(by\\) [night]", prompt_syntax="comfy", negative_prompt="(blurry)")
        add(model, "a red++ (green house)0.6 \"by night\"-", prompt_syntax="compel", negative_prompt="blurry+")
        add(model, "a red house", clip_skip=2, negative_prompt="blurry")
        add(model, f"({LONG}:1.2) BREAK night", negative_prompt=NEGATIVE)
    add("sd1", "[red|green|] house", sampler="heun", steps=3)
    add("sd1", "a [red:green:3] house", sampler="heun", steps=3)
    add("sd1", "a [red:green:0.5] house", sampler="ddim", steps=5, batch_count=2)
    add("sd1", "[[red:green:1]|(blue:1.5)] house AND [night:2]:0.5", sampler="heun", steps=3)
    add("sd1", f"{LONG} AND night", negative_prompt="blurry")
    add("sd1", f"{LONG} AND night", negative_prompt=LONG)
    add("sd1", "a red house AND night", cfg_scale=1)
    add("sd1", "a red house AND night", cfg_interval="25%,75%")
    add("sd1", "a red house AND night", batch_count=2, guidance_rescale=0.6, negative_prompt="grey")
    add("sd1", "a red house:1.5")
    add("sd1", f"[{LONG}:night:2]", negative_prompt="grey")
    for rule in ("a1111", "comfy", "plain"):
        add("sd1", f"(green:1.3) {LONG}", prompt_chunks=rule, prompt_syntax="comfy", prompt_weighting="a1111")
    add("sd1", '("a red house", "green hills").blend(0.7, 0.5)', prompt_syntax="compel")
    add("sd1", '("a red house", "green+ hills").and(1, 0.6)', prompt_syntax="compel", negative_prompt="grey")
    add("sd1", f"a (green)0.4 house. {LONG}", prompt_syntax="compel", negative_prompt="grey--")
    add("sd1", "a (red) house AND [night:3] \\", prompt_syntax="plain")
    add("xl", "[a red house:night:2] AND (hills:1.2)", negative_prompt="grey", sampler="heun", steps=3, cfg_scale=2)
    return listed


def compat_cases() -> list[dict]:
    """As diffusers has it, by name: brackets are text, and the negative prompt skips no layer."""
    return [{"model": model, "prompt": "a (red:1.4) house", "negative-prompt": "blurry", "clip-skip": 2, "steps": 4,
             "cfg-scale": 4, "seed": 31, "sampler": "euler", "compat": "diffusers"} for model in ("sd1", "xl")]


class Side:
    """One prompt as text encoders see it."""

    def __init__(self, pipe, case: dict, negative: bool) -> None:
        self.encoders = [(pipe.tokenizer, pipe.text_encoder)]
        if hasattr(pipe, "tokenizer_2"):
            self.encoders.append((pipe.tokenizer_2, pipe.text_encoder_2))
        self.xl = len(self.encoders) == 2
        self.syntax = case.get("prompt-syntax", "plain" if case.get("compat") == "diffusers" else "a1111")
        self.weighting = case.get("prompt-weighting", self.syntax if self.syntax != "plain" else "none")
        self.rule = case.get("prompt-chunks", "plain")
        skips = "clip-skip" in case and not (negative and case.get("compat") == "diffusers")
        self.skipped = case["clip-skip"] - 1 if skips else 0
        calls = case["steps"] * (2 if case["sampler"] == "heun" else 1)
        text = case.get("negative-prompt", "") if negative else case["prompt"]
        if self.syntax == "a1111":
            self.parts = grammars.a1111(text, calls, negative=negative)
        else:
            self.parts = [[1.0, [[calls, grammars.comfy(text) if self.syntax == "comfy" else [[text, 1.0]]]]]]

    def chunks(self, tokenizer, pieces: list) -> list[list[tuple[int, float]]]:
        """Of (id, weight), without start, end and padding."""
        comma = tokenizer(",", add_special_tokens=False).input_ids[0]
        chunks: list[list] = [[]]
        for text, weight in pieces:
            if (text, weight) == ("BREAK", -1) and self.syntax == "a1111":
                chunks.append([])
                continue
            words = text.replace("\n", " ").split(" ") if self.rule == "comfy" else [text]
            for word in words:
                ids = tokenizer(word, add_special_tokens=False).input_ids
                if self.rule == "comfy" and len(ids) < 8 and len(chunks[-1]) + len(ids) > 75:
                    chunks.append([])
                for i in ids:
                    if len(chunks[-1]) == 75:
                        commas = [k for k, (other, _) in enumerate(chunks[-1]) if other == comma]
                        moved = []
                        if self.rule == "a1111" and i != comma and commas and 75 - commas[-1] <= 20:
                            chunks[-1], moved = chunks[-1][:commas[-1] + 1], chunks[-1][commas[-1] + 1:]
                        chunks.append(moved)
                    chunks[-1].append((i, weight))
        if len(chunks) > 1 and not chunks[-1]:
            chunks.pop()
        return chunks

    def count(self) -> int:
        return max(len(self.chunks(tokenizer, pieces)) for tokenizer, _ in self.encoders
                   for _, versions in self.parts for _, pieces in versions)

    def hidden(self, tokenizer, encoder, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
        row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
        row += [tokenizer.pad_token_id] * (77 - len(row))
        said = encoder(torch.tensor([row]), output_hidden_states=True)
        if self.xl:
            return said.hidden_states[-2 - self.skipped], said.text_embeds if hasattr(said, "text_embeds") else None
        model = getattr(encoder, "text_model", encoder)
        return model.final_layer_norm(said.hidden_states[-1 - self.skipped]), None

    def weighted(self, tokenizer, encoder, chunk: list) -> tuple[torch.Tensor, torch.Tensor | None]:
        hidden, pooled = self.hidden(tokenizer, encoder, [i for i, _ in chunk])
        weights = torch.tensor([1.0] + [w for _, w in chunk] + [1.0] * (76 - len(chunk)), dtype=torch.float64)
        z, w = hidden.double(), weights.reshape(1, 77, 1)
        if self.weighting == "a1111":
            z = restored(z, w)
        elif self.weighting == "comfy":
            empty = self.hidden(tokenizer, encoder, [])[0].double()
            z = empty + (z - empty) * w
        return z.float(), pooled

    def encode(self, pieces: list, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        contexts, pooled = [], None
        for tokenizer, encoder in self.encoders:
            chunks = self.chunks(tokenizer, pieces)
            said = [self.weighted(tokenizer, encoder, chunk) for chunk in chunks + [[]] * (count - len(chunks))]
            contexts.append(torch.cat([z for z, _ in said], 1))
            pooled = said[0][1]
        return torch.cat(contexts, -1), pooled


def restored(z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """A1111's rule for one chunk, in float64."""
    out = z * w
    before, after = float(z.mean()), float(out.mean())
    for mean in (before, after):  # the goldens say nothing of what is near
        assert abs(mean) < 1e-6 or abs(mean) > 1e-4, mean
    return out * (before / after) if min(abs(before), abs(after)) > 1e-5 else out


def timelines(pipe, case: dict) -> tuple[list, list]:
    """Of the prompt's parts and of the negative prompt: weight, and (last call, context, pooled) in their order."""
    if case.get("prompt-syntax") == "compel":
        kind = CompelForSDXL if case["model"] == "xl" else CompelForSD
        said = kind(pipe, device="cpu")(case["prompt"], negative_prompt=case.get("negative-prompt", ""))
        return ([(1.0, [(10**6, said.embeds, said.pooled_embeds)])],
                [(1.0, [(10**6, said.negative_embeds, said.negative_pooled_embeds)])])
    to, away = Side(pipe, case, False), Side(pipe, case, True)
    both = max(to.count(), away.count())
    composed = len(to.parts) > 1 or to.parts[0][0] != 1
    found = []
    for side in (to, away):
        lines = []
        for weight, versions in side.parts:
            own = Side.__new__(Side)
            own.__dict__ = dict(side.__dict__, parts=[[weight, versions]])
            count = own.count() if composed else both
            lines.append((weight, [(end, *side.encode(pieces, count)) for end, pieces in versions]))
        longest = max(line[0][1].shape[1] for _, line in lines)
        lines = [(weight, [(end, torch.cat([z, z[:, -1:].expand(-1, longest - z.shape[1], -1)], 1), pooled)
                           for end, z, pooled in line]) for weight, line in lines]
        found.append(lines)
    return tuple(found)


def draw(pipe, case: dict, generator: torch.Generator) -> torch.Tensor:
    parts, [(_, away)] = timelines(pipe, case)
    scheduler, side = pipe.scheduler, pipe.unet.config.sample_size
    scheduler.set_timesteps(case["steps"])
    x = torch.randn((1, 4, side, side), generator=generator) * scheduler.init_noise_sigma
    scale, interval = float(case["cfg-scale"]), case.get("cfg-interval")
    for call, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, t)

        def said(line: list) -> torch.Tensor:
            _, context, pooled = next((entry for entry in line if call <= entry[0]), line[0])
            more = {}
            if case["model"] == "xl":
                pixels = side * pipe.vae_scale_factor
                more["added_cond_kwargs"] = {"text_embeds": pooled,
                                             "time_ids": torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]]).float()}
            return pipe.unet(seen, t, encoder_hidden_states=context, **more).sample

        u = said(away)
        to = u + sum(weight * (said(line) - u) for weight, line in parts)
        guided = u + scale * (to - u)
        if interval:
            low, high = (float(edge[:-1]) / 100 for edge in interval.split(","))
            n = case["steps"]
            guided = guided if int(low * n) <= call < int(high * n) else to
        if rescale := case.get("guidance-rescale"):
            guided = rescale * guided * (to.std() / guided.std()) + (1 - rescale) * guided
        x = scheduler.step(guided, t, x).prev_sample
    return x


def make_weights(out: pathlib.Path) -> None:
    generator = torch.Generator("cpu").manual_seed(8)
    hidden = torch.randn((4, 77, 12), generator=generator) + torch.tensor([0.4, -0.2, 0.0, 0.3]).reshape(4, 1, 1)
    hidden[2] -= hidden[2].mean()
    weights = torch.ones((4, 77))
    weights[:3, 1:40] = torch.rand((3, 39), generator=generator) * 2 - 0.3
    weights[2, 1:40] = 1 + (weights[2, 1:40] > 1) * 1.0
    expected = []
    for z, w in zip(hidden.double(), weights.double(), strict=True):
        weighted = z * w.unsqueeze(-1)
        ratio = z.mean() / weighted.mean()
        expected.append((weighted if abs(z.mean()) < 1e-6 else weighted * ratio).float())
    save_file({"hidden": hidden, "weights": weights, "expected": torch.stack(expected)}, out / "weights.safetensors")


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    make_weights(out)
    pipes: dict = {}
    for name, listed in (("pictures", cases()), ("compat", compat_cases())):
        make_pictures(out / f"{name}.safetensors", pipes, listed)


def make_pictures(file: pathlib.Path, pipes: dict, listed: list[dict]) -> None:
    tensors = {}
    for number, case in enumerate(listed):
        if case["model"] not in pipes:
            kind = StableDiffusionXLPipeline if case["model"] == "xl" else StableDiffusionPipeline
            more = {"add_watermarker": False} if case["model"] == "xl" else {"safety_checker": None}
            pipes[case["model"]] = kind.from_pretrained(GOLDEN / FOLDERS[case["model"]], torch_dtype=torch.float32, **more)
        pipe = pipes[case["model"]]
        kind, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **changes)
        latents = torch.cat([draw(pipe, case, torch.Generator("cpu").manual_seed(case["seed"] + k))
                             for k in range(case.get("batch-count", 1))])
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = image_to_image.with_pixels(pipe, latents)
    save_file(tensors, file, metadata={"cases": json.dumps(listed)})
