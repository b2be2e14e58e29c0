"""Pictures that prompt through IP-Adapters, by diffusers' pipelines, with the tiny models of the areas pipeline and
families, and tiny image encoders and adapters of their own, in the original code's layout.

encoder_NAME is a golden as in networks.py: `embeds` and the penultimate `states`. prepared.safetensors has what
CLIPImageProcessor makes of pictures; tokens.safetensors what each adapter's projection makes of random states, and
what the U-Net makes with them, at SCALE. In pictures.safetensors `ip-adapter`, `ip-encoder`, `ip-image` and other files
are of this folder, `control-net` of the area control_nets.
"""

import json
import pathlib

import control_nets
import diffusers
import image_to_image
import lora_pictures
import networks
import numpy as np
import pipeline
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

GOLDEN = image_to_image.GOLDEN
FOLDERS = {"sd1": "pipeline/models/sd1", "xl": "families/models/xl", "lcm": "families/models/lcm"}
SIZES = {"a.png": (70, 45), "b.png": (33, 50), "c.png": (211, 140), "thin.png": (7, 61)}
SCALE = 0.7

ENCODERS = {
    "small": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=32,
                  patch_size=8, projection_dim=20, hidden_act="gelu"),
    "wide": dict(hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=30,
                 patch_size=7, projection_dim=28, hidden_act="quick_gelu", layer_norm_eps=1e-3),
}  # fmt: skip
# preprocessor_config.json: the encoder `small` has none.
PREPARATIONS = {
    "wide": dict(size={"shortest_edge": 34}, crop_size={"height": 30, "width": 30}, resample=2,
                 image_mean=[0.5, 0.4, 0.45], image_std=[0.3, 0.25, 0.2]),
}  # fmt: skip
# Beyond those: what configs can say.
ODD_PREPARATIONS = {
    "enlarging": dict(size={"shortest_edge": 80}, crop_size={"height": 56, "width": 56}),
    "padding": dict(size={"shortest_edge": 20}, crop_size={"height": 33, "width": 24}),
    "squashing": dict(size={"height": 24, "width": 24}, do_center_crop=False, resample=1),
    "plain": dict(do_resize=False, crop_size={"height": 31, "width": 31}, do_normalize=False),
    "bytes": dict(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, do_rescale=False),
}  # fmt: skip

# Folder (its image_encoder/ is the encoder of that name), kind, model.
ADAPTERS = {
    "small/plain_sd1.safetensors": "plain", "small/plus_sd1.bin": "plus", "small/full_sd1.safetensors": "full",
    "small/plain_lcm.safetensors": "plain", "small/plus_xl.safetensors": "plus", "wide/plain_xl.bin": "plain",
    "wide/plus_sd1.safetensors": "plus",
}  # fmt: skip


def model_of(file: str) -> str:
    return pathlib.Path(file).stem.split("_")[1]


def matrix(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns) / columns**0.5


def vector(width: int, centre: float = 0.0) -> torch.Tensor:
    return centre + 0.2 * torch.randn(width)


def norm(name: str, width: int) -> dict:
    return {f"{name}.weight": vector(width, 1.0), f"{name}.bias": vector(width)}


def projection(kind: str, encoder: dict, context: int) -> dict:
    """`image_proj` as the original code names its parts."""
    states = encoder["hidden_size"]
    if kind == "plain":
        embeds = encoder["projection_dim"]
        return {"proj.weight": matrix(4 * context, embeds), "proj.bias": vector(4 * context), **norm("norm", context)}
    if kind == "full":
        return {"proj.0.weight": matrix(states, states), "proj.0.bias": vector(states),
                "proj.2.weight": matrix(context, states), "proj.2.bias": vector(context), **norm("proj.3", context)}
    inner, attention, queries = 24, 64 if states == 32 else 128, 5
    parts = {"latents": torch.randn(1, queries, inner) / inner**0.5, "proj_in.weight": matrix(inner, states),
             "proj_in.bias": vector(inner), "proj_out.weight": matrix(context, inner), "proj_out.bias": vector(context),
             **norm("norm_out", context)}
    for layer in range(4):  # diffusers has no other number
        attend, feed = f"layers.{layer}.0", f"layers.{layer}.1"
        parts |= {**norm(f"{attend}.norm1", inner), **norm(f"{attend}.norm2", inner),
                  f"{attend}.to_q.weight": matrix(attention, inner),
                  f"{attend}.to_kv.weight": matrix(2 * attention, inner),
                  f"{attend}.to_out.weight": matrix(inner, attention), **norm(f"{feed}.0", inner),
                  f"{feed}.1.weight": matrix(4 * inner, inner), f"{feed}.3.weight": matrix(inner, 4 * inner)}
    return parts


def adapter(file: str, unet) -> dict:
    """Both halves, in bf16 as stored."""
    torch.manual_seed(sum(file.encode()))
    context = unet.config.cross_attention_dim
    layers = {}
    cross = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for number, name in enumerate(cross):
        inner = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        layers |= {f"{2 * number + 1}.to_k_ip.weight": 2 * matrix(inner, context),
                   f"{2 * number + 1}.to_v_ip.weight": 2 * matrix(inner, context)}
    halves = {"image_proj": projection(ADAPTERS[file], ENCODERS[pathlib.Path(file).parent.name], context),
              "ip_adapter": layers}
    return {half: {key: value.bfloat16() for key, value in parts.items()} for half, parts in halves.items()}


def save_adapter(halves: dict, file: pathlib.Path) -> None:
    if file.suffix == ".bin":
        torch.save(halves, file)
    else:
        save_file({f"{half}.{key}": value for half, parts in halves.items() for key, value in parts.items()}, file)


def encoder(config: dict):
    model = networks.randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)))
    for name, weight in model.named_parameters():
        if name.endswith("patch_embedding.weight"):
            weight.data = torch.randn_like(weight) / weight[0].numel() ** 0.5
        if name.endswith(("position_embedding.weight", "class_embedding")):
            weight.data = 0.5 * torch.randn_like(weight)
    inputs = {"pixels": torch.randn(2, 3, config["image_size"], config["image_size"])}

    def forward(pixels):
        seen = model(pixels, output_hidden_states=True)
        return {"embeds": seen.image_embeds, "states": seen.hidden_states[-2]}

    return model, inputs, forward


def save_encoder(name: str, folder: pathlib.Path) -> CLIPVisionModelWithProjection:
    """With the weights of its golden; without metadata, which comes in any order."""
    torch.manual_seed(sum(f"encoder_{name}".encode()))
    model, _, _ = encoder(json.loads(json.dumps(ENCODERS[name])))
    model.bfloat16().save_pretrained(folder)
    save_file({key: weight.clone() for key, weight in model.state_dict().items()}, folder / "model.safetensors")
    if name in PREPARATIONS:
        CLIPImageProcessor(**PREPARATIONS[name]).save_pretrained(folder)
    return model.float().eval()


def processor(name: str) -> CLIPImageProcessor:
    side = ENCODERS[name]["image_size"]
    return CLIPImageProcessor(**PREPARATIONS.get(name, dict(size=side, crop_size=side)))


def write_pictures(out: pathlib.Path) -> None:
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.cos(x / (4 + k + number)) * np.sin((y + number) / (3 + k)) + (x + 2 * y > 70) * 0.4 * k
                 for k in range(3)]
        Image.fromarray(np.clip(np.stack(waves, -1) * 100 + 110, 0, 255).astype(np.uint8)).save(out / name)
    mask = Image.new("L", SIZES["a.png"])
    ImageDraw.Draw(mask).ellipse((14, 8, 50, 34), fill=255)
    mask.save(out / "mask.png")


def make_prepared(out: pathlib.Path) -> None:
    tensors, configs = {}, {}
    for name in [*ENCODERS, *ODD_PREPARATIONS]:
        how = CLIPImageProcessor(**ODD_PREPARATIONS[name]) if name in ODD_PREPARATIONS else processor(name)
        configs[name] = json.loads(how.to_json_string())
        for picture in SIZES:
            seen = how(Image.open(out / picture).convert("RGB"), return_tensors="pt").pixel_values
            tensors[f"{name}.{picture}"] = seen
    save_file(tensors, out / "prepared.safetensors", metadata={"configs": json.dumps(configs)})


def make_tokens(out: pathlib.Path, adapters: dict) -> None:
    tensors = {}
    for file, halves in adapters.items():
        name = model_of(file)
        if name == "lcm":
            continue
        unet = diffusers.UNet2DConditionModel.from_pretrained(GOLDEN / FOLDERS[name], subfolder="unet")
        unet._load_ip_adapter_weights([halves])
        torch.manual_seed(sum(file.encode()) + 1)
        config = ENCODERS[pathlib.Path(file).parent.name]
        states = (config["image_size"] // config["patch_size"]) ** 2 + 1
        shape = [config["projection_dim"]] if ADAPTERS[file] == "plain" else [states, config["hidden_size"]]
        seen = torch.randn(2, 1, *shape)
        inputs = {"sample": torch.randn(2, 4, 8, 6), "timestep": torch.tensor([981.0, 17.0]),
                  "context": torch.randn(2, 7, unet.config.cross_attention_dim)}
        if name == "xl":
            inputs |= {"pooled": torch.randn(2, unet.config.projection_class_embeddings_input_dim
                                             - 6 * unet.config.addition_time_embed_dim),
                       "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64], [48, 80, 3, 5, 64, 64]])}
        added = {"image_embeds": [seen]}
        if name == "xl":
            added |= {"text_embeds": inputs["pooled"], "time_ids": inputs["time_ids"]}
        for processor in unet.attn_processors.values():
            if hasattr(processor, "to_k_ip"):
                processor.scale = [SCALE]
        sample = unet(inputs["sample"], inputs["timestep"], encoder_hidden_states=inputs["context"],
                      added_cond_kwargs=added).sample
        tokens = unet.encoder_hid_proj([seen])[0][:, 0]
        assert sample.isfinite().all(), file
        parts = {**inputs, "seen": seen[:, 0], "tokens": tokens, "sample.out": sample}
        tensors |= {f"{file}.{key}": value.contiguous() for key, value in parts.items()}
    save_file(tensors, out / "tokens.safetensors")


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults."""
    listed = []

    def add(model: str, adapters, pictures="a.png", **request) -> None:
        listed.append(dict({"model": model, "ip-adapter": adapters, "ip-image": pictures, "prompt": pipeline.PROMPT,
                            "steps": 5, "cfg-scale": 5, "seed": 7},
                           **{key.replace("_", "-"): value for key, value in request.items()}))

    plain, plus, full = "small/plain_sd1.safetensors", "small/plus_sd1.bin", "small/full_sd1.safetensors"
    wide, plain_xl, plus_xl = "wide/plus_sd1.safetensors", "wide/plain_xl.bin", "small/plus_xl.safetensors"
    add("sd1", plain)
    add("sd1", plus)
    add("sd1", full, "b.png", sampler="ddim")
    add("sd1", wide, "c.png", sampler="euler", negative_prompt=pipeline.NEGATIVE)
    add("sd1", plain, "thin.png", ip_scale=0.4, sampler="euler", width=48, height=64)
    add("sd1", plus, "c.png", ip_scale=1.6, sampler="ddim", cfg_scale=1)
    add("sd1", plain, "b.png", ip_scale=-0.5, sampler="ddim")
    add("sd1", plain, ip_scale=0)
    add("sd1", plain, ["a.png", "b.png", "c.png"], sampler="ddim")
    add("sd1", plus, ["c.png", "thin.png"], ip_scale=0.8, sampler="dpm++2m")
    add("sd1", [plain, plus], ["a.png", "b.png"], sampler="ddim")
    add("sd1", [plus, full, plain], ["a.png", "b.png", "b.png"], ip_scale=[0.5, 0, 0.8], sampler="euler_a")
    add("sd1", [plain, plain], ["c.png", "b.png"], ip_scale=0.6)
    add("sd1", plus, batch_count=2, batch_size=2, sampler="euler_a")
    add("sd1", plus, "b.png", init_img="a.png", strength=0.6, sampler="ddim", width=64, height=40)
    add("sd1", plain, "b.png", init_img="a.png", mask="mask.png", sampler="ddim", width=64, height=40)
    add("sd1", plain, "b.png", control_net="net_a", control_image="a.png", sampler="ddim", width=64, height=48)
    add("sd1", plus, "b.png", control_net="net_a", control_image="a.png", control_mode="control", width=64, height=48)
    add("sd1", plain, "b.png", pag_scale=2.5, sampler="ddim")
    # diffusers fails where self-attention guidance and a guidance scale come together.
    add("sd1", plus, "b.png", sag_scale=0.75, sampler="ddim", cfg_scale=1)
    add("lcm", plain.replace("sd1", "lcm"), "b.png", cfg_scale=4)
    # The tiny SDXL amplifies rounding errors by hundreds where guidance is strong or the sampler extrapolates.
    add("xl", plain_xl, cfg_scale=2)
    add("xl", plain_xl, ["a.png", "thin.png"], cfg_scale=1.5, ip_scale=0.6, width=48, height=32)
    add("xl", plus_xl, "b.png", cfg_scale=2, negative_prompt=pipeline.NEGATIVE)
    add("xl", plus_xl, "c.png", cfg_scale=1, batch_count=2)
    add("xl", plus_xl, cfg_scale=1.5, init_img="b.png", strength=0.5, width=48, height=48)
    add("sd1", plus, "b.png", lora=["sd1_a.safetensors:0.6:-0.5"], sampler="ddim")
    add("sd1", plain, "c.png", lora=["sd1_u.safetensors", "sd1_b.safetensors:0.4"], ip_scale=0.7, sampler="euler")
    add("xl", plain_xl, lora=["xl_a.safetensors:0.3"], cfg_scale=1.5)
    return listed


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def pipeline_class(case: dict):
    xl = case["model"] == "xl"
    if case["model"] == "lcm":
        return diffusers.LatentConsistencyModelPipeline
    if "pag-scale" in case:
        return diffusers.StableDiffusionPAGPipeline
    if "sag-scale" in case:
        return diffusers.StableDiffusionSAGPipeline
    if "control-net" in case:
        return diffusers.StableDiffusionControlNetPipeline
    if "mask" in case:
        return diffusers.StableDiffusionInpaintPipeline
    if "init-img" in case:
        return diffusers.StableDiffusionXLImg2ImgPipeline if xl else diffusers.StableDiffusionImg2ImgPipeline
    return diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline


def load(case: dict, out: pathlib.Path, encoders: dict):
    files = as_list(case["ip-adapter"])
    chosen = pathlib.Path(files[0]).parent.name
    more = {"add_watermarker": False} if case["model"] == "xl" else {"safety_checker": None}
    more |= {"image_encoder": encoders[chosen], "feature_extractor": processor(chosen)}
    if "control-net" in case:
        more["controlnet"] = diffusers.ControlNetModel.from_pretrained(
            GOLDEN / "control_nets" / "nets" / case["control-net"], torch_dtype=torch.float32)
    kind, folder = pipeline_class(case), GOLDEN / FOLDERS[case["model"]]
    if "mask" in case:  # whose from_pretrained asks for a version that the folder does not say
        base = diffusers.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, **more)
        pipe = kind(**base.components, requires_safety_checker=False)
    else:
        pipe = kind.from_pretrained(folder, torch_dtype=torch.float32, **more)
    pipe.load_ip_adapter(str(out / chosen), subfolder="", weight_name=[pathlib.Path(file).name for file in files])
    scale = case.get("ip-scale", 1.0)
    pipe.set_ip_adapter_scale([float(s) for s in as_list(scale) * (len(files) // len(as_list(scale)))])
    if "lora" in case:
        for lora in case["lora"]:
            pipe.load_lora_weights(GOLDEN / "lora_pictures", weight_name=lora.split(":")[0],
                                   adapter_name=lora.split(".")[0])
        lora_pictures.set_weights(pipe, case["lora"], 0, case["steps"])
    if "sampler" in case:
        scheduler, changes = image_to_image.SAMPLERS[case["sampler"]]
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **changes)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(case: dict, out: pathlib.Path, encoders: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    pipe = load(case, out, encoders)
    pictures = [Image.open(out / name).convert("RGB") for name in as_list(case["ip-image"])]
    several_adapters = len(as_list(case["ip-adapter"])) > 1
    count = case.get("batch-count", 1)
    arguments = {"ip_adapter_image": pictures if several_adapters else [pictures]}
    for flag, name, kind in (("width", "width", int), ("height", "height", int), ("pag-scale", "pag_scale", float),
                             ("sag-scale", "sag_scale", float), ("negative-prompt", "negative_prompt", str)):
        if flag in case:
            arguments[name] = kind(case[flag])
    if "control-net" in case:
        arguments["image"] = Image.open(out / case["control-image"]).convert("RGB")
        arguments["guess_mode"] = case.get("control-mode") == "control"
    if "init-img" in case:
        start = Image.open(out / case["init-img"]).convert("RGB")
        if "mask" in case:
            arguments |= {"image": start, "mask_image": Image.open(out / case["mask"]).convert("L"),
                          "strength": float(case.get("strength", 1))}
        else:
            arguments["image"] = pipe.image_processor.preprocess(start, height=case["height"], width=case["width"])
            arguments["strength"] = float(case["strength"])
            del arguments["width"], arguments["height"]
    generators = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]
    latents = pipe(prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]),
                   generator=generators, num_images_per_prompt=count, output_type="latent", **arguments).images
    return image_to_image.with_pixels(pipe, latents)


@torch.no_grad()
def make(out: pathlib.Path) -> None:
    write_pictures(out)
    encoders = {}
    for name, config in ENCODERS.items():
        networks.make_one(f"encoder_{name}", encoder, config, out)
        encoders[name] = save_encoder(name, out / name / "image_encoder")
    make_prepared(out)
    unets = {name: diffusers.UNet2DConditionModel.from_pretrained(GOLDEN / folder, subfolder="unet")
             for name, folder in FOLDERS.items()}
    adapters = {file: adapter(file, unets[model_of(file)]) for file in ADAPTERS}
    for file, halves in adapters.items():
        save_adapter(halves, out / file)
    make_tokens(out, adapters)
    tensors, listed = {}, cases()
    for number, case in enumerate(listed):
        latents, pixels = draw(case, out, encoders)
        assert latents.isfinite().all(), case
        tensors[f"{number:03}.latent"], tensors[f"{number:03}.image"] = latents, pixels
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(listed)})
