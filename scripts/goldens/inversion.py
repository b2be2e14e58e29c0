"""Learned words in the layouts that trainers write, and what diffusers draws with them (load_textual_inversion). The tiny
models of the areas pipeline and families. Each picture alone: a batch must give the same."""

import base64
import json
import pathlib
import zlib

import image_to_image
import numpy as np
import pipeline
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders import TextualInversionLoaderMixin
from guidance import FOLDERS, GOLDEN, generators, with_sampler
from PIL import Image, PngImagePlugin
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

WIDTHS = {"sd1": 24, "sd2": 24}


def vectors(count: int, width: int, seed: int) -> torch.Tensor:
    """As far from one another as the tiny encoders' own, so that a wrong one shows."""
    return torch.randn((count, width), generator=torch.Generator("cpu").manual_seed(seed)) * 0.3


def write_files(out: pathlib.Path) -> None:
    a1111 = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors(2, 24, 1)}, "name": "cat-statue",
             "step": 500, "sd_checkpoint": None, "sd_checkpoint_name": None}
    torch.save(a1111, out / "statue.pt")
    # As the paper's own code saves it: a module of parameters, ids that are tensors, no name; the old format.
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors(1, 24, 2))})
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters}, out / "inkwash.pt",
               _use_new_zipfile_serialization=False)
    torch.save({"<cat>": vectors(1, 24, 3)[0].to(torch.float16)}, out / "learned_embeds.bin")
    torch.save(vectors(3, 24, 4), out / "bare.bin")
    save_file({"emb_params": vectors(3, 24, 5)}, out / "gloom.safetensors")
    save_file({"<one>": vectors(1, 24, 6)[0], "<two>": vectors(2, 24, 7)}, out / "several.safetensors")
    config = [json.loads((GOLDEN / FOLDERS["xl"] / name / "config.json").read_text())["hidden_size"]
              for name in ("text_encoder", "text_encoder_2")]
    save_file({"clip_l": vectors(2, config[0], 8), "clip_g": vectors(2, config[1], 9)}, out / "pair.safetensors")
    torch.save({"text_encoders_0": vectors(1, config[0], 10), "text_encoders_1": vectors(1, config[1], 11)},
               out / "trained.pt")


def write_picture(out: pathlib.Path) -> None:
    """As A1111 saves a word in a picture (modules/textual_inversion/image_embedding.py)."""
    numbers = {"*": {"TORCHTENSOR": vectors(2, 24, 12).tolist()}}
    save_file({"vectors": vectors(2, 24, 12)}, out / "picture_vectors.safetensors")
    content = {"string_to_token": {"*": 265}, "string_to_param": numbers, "name": "framed", "step": 3,
               "sd_checkpoint": None}
    text = PngImagePlugin.PngInfo()
    text.add_text("sd-ti-embedding", base64.b64encode(json.dumps(content).encode()).decode())
    Image.new("RGB", (4, 4), (9, 90, 200)).save(out / "picture.png", pnginfo=text)
    hide(json.dumps(content).encode(), out / "hidden.png")


def hide(content: bytes, file: pathlib.Path) -> None:
    """Half a byte a number, lower halves on the left and upper ones on the right of a picture between black columns,
    under the noise of a linear congruential generator."""
    def block(halves: np.ndarray, height: int) -> np.ndarray:
        width = -(-len(halves) // (3 * height))
        filled = np.resize(halves, width * height * 3)
        noise, state = [], 0
        for _ in filled:
            state = (1664525 * state + 1013904223) % 2**32
            noise.append(state % 255 & 15)
        shown = 16 * (1 + np.arange(len(filled)) % 13)  # A1111 draws circles there
        return ((filled ^ np.array(noise, np.uint8)) | shown.astype(np.uint8)).reshape(height, width, 3)

    packed, height = np.frombuffer(zlib.compress(content, 9), np.uint8), 24
    black = np.zeros((height, 1, 3), np.uint8)
    shown = np.full((height, 10, 3), (9, 90, 201), np.uint8)
    wide = np.concatenate([block(packed & 15, height), black, shown, black, block(packed >> 4, height)], 1)
    Image.fromarray(np.pad(wide, ((2, 3), (4, 1), (0, 0)))).save(file)


ADDED = {  # words and the numbers of their vectors
    "one": ({"x1": 2, "<cat>": 1, "inkwash": 1, "statue": 3},
            ["a x1", "a x 1", "x1y", "yx1", "X1", "a <cat>, b", "<CAT>", "(<cat>)", "inkwashes", "ink wash", "a InkWash",
             "a statue and a statue", "a Statue", "statues x1", "x1_1", "statue_2 a", "\u00e9x1\u00e9", "x1x1",
             "<|endoftext|> x1 <|startoftext|>", "x\u00b91", " x1 ", "<cat><cat>", "", "a red house"]),
    "two": ({"Big Cat": 2, "cat": 1, "\u00c9lan": 2, "it's": 2},
            ["big cat", "Big Cat", "a Big  Cat", "big\ncat", "bigcat", "a cat", "cats", "\u00e9lan", "\u00c9lan",
             "E\u0301lan", "it's", "its it's", "bit's"]),
    "three": ({"cat": 2, "cat-statue": 2}, ["a cat", "a cat-statue", "cat-statues", "CAT-statue"]),
}


def write_added(out: pathlib.Path) -> None:
    """The ids that diffusers' pipelines give prompts with words: added tokens, several for those of several vectors."""
    told = {}
    for name, (words, prompts) in ADDED.items():
        tokenizer = CLIPTokenizer.from_pretrained(GOLDEN / FOLDERS["sd1"], subfolder="tokenizer")
        first = len(tokenizer)
        for word, count in words.items():
            tokenizer.add_tokens([word, *(f"{word}_{i}" for i in range(1, count))])
        converted = TextualInversionLoaderMixin().maybe_convert_prompt(prompts, tokenizer)
        ids = [tokenizer(text, add_special_tokens=False, truncation=False).input_ids for text in converted]
        told[name] = {"first": first, "words": list(words.items()), "prompts": list(zip(prompts, ids))}
    (out / "added.json").write_text(json.dumps(told, indent=1) + "\n")


def read(file: pathlib.Path) -> dict[str, torch.Tensor]:
    """Word → vectors, or of a pair the keys of its two; by torch alone."""
    if file.suffix == ".safetensors":
        return load_file(file)
    data = torch.load(file, weights_only=False)
    if isinstance(data, torch.Tensor):
        return {"": data}
    if "string_to_param" in data:
        return {data.get("name", ""): dict(data["string_to_param"].items())["*"].detach()}
    return data


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, prompt: str, embedding: list[str], **request) -> None:
        listed.append(dict({"model": model, "prompt": prompt, "embedding": embedding, "steps": 4, "cfg-scale": 4,
                            "seed": 11, "sampler": "ddim"},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    add("sd1", "a cat-statue in a red house", ["statue.pt"])
    add("sd1", "a <cat>, on green hills", ["learned_embeds.bin"])
    add("sd1", "green hills (in <cat>)", ["learned_embeds.bin"], prompt_syntax="plain")
    add("sd1", "a house by Inkwash", ["inkwash.pt"], batch_count=2)
    add("sd1", "a red house", ["gloom.safetensors"], negative_prompt="gloom, blurry")
    add("sd1", "a green house", ["bare.bin=muddle"], negative_prompt="muddle")
    add("sd1", "a <ONE> and a <two>, a <one>", ["several.safetensors"], sampler="euler")
    add("sd1", "statues: zwx, a <cat>, inkwash", ["statue.pt=zwx", "inkwash.pt", "learned_embeds.bin"],
        negative_prompt="<cat>")
    add("sd2", "a red house by cat-statue", ["statue.pt"], negative_prompt="cat-statue")
    add("sd2", "gloom, green hills", ["gloom.safetensors"], sampler="euler")
    add("xl", "a pair of houses", ["pair.safetensors"], cfg_scale=1.5)
    add("xl", "a red house, trained", ["trained.pt", "pair.safetensors=qqq"], negative_prompt="a qqq house, trained",
        cfg_scale=1.5)
    return listed


def load(pipe, model: str, named: str, out: pathlib.Path) -> None:
    name, _, token = named.partition("=")
    words = read(out / name)
    stem = pathlib.Path(name).stem
    if model == "xl":
        first, second = sorted(words, key=lambda key: key in ("clip_g", "text_encoders_1"))
        for key, encoder, tokenizer in ((first, pipe.text_encoder, pipe.tokenizer),
                                        (second, pipe.text_encoder_2, pipe.tokenizer_2)):
            pipe.load_textual_inversion(words[key], token=token or stem, text_encoder=encoder, tokenizer=tokenizer)
        return
    for word, tensor in words.items():
        own = "" if word in ("", "emb_params") else word
        pipe.load_textual_inversion({own or stem: tensor.float()}, token=token or own or stem)


def draw(case: dict, out: pathlib.Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Final latents, pictures, and of the prompt context and pooled text (of no numbers where there is none)."""
    xl = case["model"] == "xl"
    kind = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    more = {"add_watermarker": False} if xl else {"safety_checker": None}
    pipe = kind.from_pretrained(GOLDEN / FOLDERS[case["model"]], torch_dtype=torch.float32, **more)
    pipe.set_progress_bar_config(disable=True)
    for named in case["embedding"]:
        load(pipe, case["model"], named, out)
    pipe = with_sampler(pipe, case)
    # The fast tokenizer looks for a word as it was given; sdtorch, as A1111, in any case.
    prompt = case["prompt"].replace("<ONE>", "<one>").replace("Inkwash", "inkwash")
    found = [pipe(prompt=prompt, negative_prompt=case.get("negative-prompt"), num_inference_steps=case["steps"],
                  guidance_scale=float(case["cfg-scale"]), generator=generator, output_type="latent").images
             for generator in generators(case)]
    encoded = pipe.encode_prompt(prompt=prompt, device="cpu", num_images_per_prompt=1,
                                 do_classifier_free_guidance=False)
    return (*image_to_image.with_pixels(pipe, torch.cat(found)), encoded[0], encoded[2] if xl else torch.zeros(0))


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_files(out)
    write_picture(out)
    write_added(out)
    tensors, listed = {}, cases()
    for number, case in enumerate(listed):
        latents, pixels, context, pooled = draw(case, out)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
        tensors[f"{number:03}.context"] = context.contiguous()
        if pooled.numel():
            tensors[f"{number:03}.pooled"] = pooled.contiguous()
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
