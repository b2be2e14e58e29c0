"""Networks and pictures of the families beyond SD1 and SD2: SDXL, its refiner, and models distilled to take the guidance
scale as an input. Tiny random models, their weights in bf16 to keep them small; the references compute in fp32."""

import json
import pathlib
import shutil

import diffusers
import networks
import numpy as np
import pipeline
import torch
from diffusers import (AutoencoderKL, LatentConsistencyModelPipeline, StableDiffusionPipeline,
                       StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline, UNet2DConditionModel)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CROSS_DOWN, DOWN, CROSS_UP, UP = networks.CROSS_DOWN, networks.DOWN, networks.CROSS_UP, networks.UP
CLASSES = {"xl": StableDiffusionXLPipeline, "refiner": StableDiffusionXLImg2ImgPipeline,
           "lcm": LatentConsistencyModelPipeline}
WIDTH, WIDTH_2, PROJECTION = 16, 24, 20  # of the text encoders
PROMPT, NEGATIVE, LONG_PROMPT = pipeline.PROMPT, pipeline.NEGATIVE, pipeline.LONG_PROMPT

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
# As the published folders have them.
SCHEDULERS = {
    "xl": {"_class_name": "EulerDiscreteScheduler", **BETAS, "clip_sample": False, "interpolation_type": "linear",
           "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
           "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False},
    "turbo": {"_class_name": "EulerAncestralDiscreteScheduler", **BETAS, "clip_sample": False, "steps_offset": 1,
              "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0,
              "set_alpha_to_one": False, "skip_prk_steps": True, "timestep_spacing": "trailing", "trained_betas": None},
    "lcm": {"_class_name": "LCMScheduler", **BETAS, "clip_sample": False, "clip_sample_range": 1.0,
            "dynamic_thresholding_ratio": 0.995, "original_inference_steps": 50, "prediction_type": "epsilon",
            "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": True, "steps_offset": 0,
            "thresholding": False, "timestep_scaling": 10.0, "timestep_spacing": "leading", "trained_betas": None},
    "distilled": {"_class_name": "DDIMScheduler", **BETAS, "clip_sample": False, "set_alpha_to_one": False,
                  "steps_offset": 1, "timestep_spacing": "trailing"},
}


def text_encoder(width: int, vocab: int, act: str, layers: int = 2, **more) -> CLIPTextConfig:
    return CLIPTextConfig(vocab_size=vocab, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
                          num_attention_heads=2, max_position_embeddings=77, hidden_act=act, **more)


def save(model, folder: pathlib.Path) -> None:
    """In bf16, through fp32: the references compute with the weights as stored."""
    model.to(torch.bfloat16).save_pretrained(folder)


def save_model(folder: pathlib.Path, kind: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(sum(kind.encode()))
    xl = kind != "lcm"
    index = {"_class_name": CLASSES[kind].__name__, "scheduler": ["diffusers", ""], "unet": ["diffusers",
             "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    context = 0
    if kind != "refiner":
        vocab = pipeline.save_tokenizer(folder / "tokenizer", "<|endoftext|>")
        text = CLIPTextModel(text_encoder(WIDTH, vocab, "quick_gelu", bos_token_id=vocab - 2, eos_token_id=vocab - 1,
                                          pad_token_id=vocab - 1))
        for parameter in text.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)
        save(text, folder / "text_encoder")
        index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
        context += WIDTH
    elif xl:
        index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
    if xl:
        vocab = pipeline.save_tokenizer(folder / "tokenizer_2", "!")
        # The published encoders say 2, whatever the vocabulary.
        eos = vocab - 1 if kind == "refiner" else 2
        text = CLIPTextModelWithProjection(text_encoder(WIDTH_2, vocab, "gelu", 3, projection_dim=PROJECTION,
                                                        bos_token_id=0, eos_token_id=eos, pad_token_id=1))
        for parameter in text.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)
        save(text, folder / "text_encoder_2")
        index |= {"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
                  "tokenizer_2": ["transformers", "CLIPTokenizer"],
                  "force_zeros_for_empty_prompt": kind != "refiner"}
        context += WIDTH_2
    if kind == "refiner":
        index["requires_aesthetics_score"] = True
    if not xl:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}

    blocks = dict(block_out_channels=(8, 12 if xl else 8), layers_per_block=1, norm_num_groups=4, attention_head_dim=(2, 4),
                  down_block_types=(DOWN, CROSS_DOWN), up_block_types=(CROSS_UP, UP))
    if kind == "refiner":
        blocks = dict(block_out_channels=(8, 12, 8), layers_per_block=1, norm_num_groups=4, attention_head_dim=(2, 3, 4),
                      down_block_types=(DOWN, CROSS_DOWN, DOWN), up_block_types=(UP, CROSS_UP, UP))
    added = {}
    if xl:
        numbers = 5 if kind == "refiner" else 6
        added = dict(addition_embed_type="text_time", addition_time_embed_dim=8, use_linear_projection=True,
                     projection_class_embeddings_input_dim=PROJECTION + 8 * numbers,
                     transformer_layers_per_block=1)
    if kind == "lcm":
        added = dict(time_cond_proj_dim=7)
    unet = UNet2DConditionModel(sample_size=8, cross_attention_dim=context, **blocks, **added)
    vae = AutoencoderKL(block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=4, sample_size=16,
                        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                        scaling_factor=0.13025 if xl else 0.18215)
    vae.decoder.conv_out.weight.mul_(2)  # span most of 0…1, so that a wrong latent shows in the pixels
    for name, parameter in unet.named_parameters():
        if "add_embedding" in name or "cond_proj" in name:
            parameter.mul_(4)  # sizes, pooled text and guidance scale are to show
    save(unet, folder / "unet")
    save(vae, folder / "vae")
    scheduler = SCHEDULERS["xl" if kind == "refiner" else kind]
    index["scheduler"][1] = scheduler["_class_name"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2))


def cases() -> list[dict]:
    """Requests by the flags' long names; absent ones are sdtorch's defaults, but size and steps are always given."""
    all_cases = []

    def add(model: str, **request) -> None:
        all_cases.append(dict({"model": model, "prompt": PROMPT, "steps": 5, "cfg-scale": 5, "seed": 7, "width": 16,
                               "height": 16}, **{key.replace("_", "-"): value for key, value in request.items()}))

    add("xl")
    add("xl", negative_prompt="")
    add("xl", negative_prompt=NEGATIVE, width=24, height=16)
    add("xl", cfg_scale=1)
    add("xl", prompt=LONG_PROMPT, negative_prompt=NEGATIVE)
    add("xl", prompt=LONG_PROMPT)
    add("xl", original_size="512x384", crop="96x32", target_size="1024x768")
    add("xl", guidance_rescale=0.7, batch_count=2)
    for sampler in ("ddim", "dpm++2m", "euler_a", "heun"):
        add("xl", sampler=sampler, steps=6)
    add("turbo", steps=1, cfg_scale=1)
    add("turbo", steps=4, cfg_scale=1, original_size="512x512", target_size="512x512")
    for start, steps in ((0.8, 10), (0.5, 5), (0.31, 3), (0.97, 4)):
        add("xl", refiner="refiner", refiner_start=start, steps=steps)
    add("xl", refiner="refiner", refiner_start=0.6, negative_prompt=NEGATIVE, crop="16x8", width=24)
    for sampler in ("ddim", "dpm++2m", "lms", "heun", "euler_a", "ddpm"):
        add("xl", refiner="refiner", refiner_start=0.6, steps=8, sampler=sampler)
    add("xl", refiner="xl", refiner_start=0.5, cfg_scale=1)
    add("distilled")
    add("distilled", cfg_scale=1, steps=2)
    add("distilled", cfg_scale=8.5, batch_count=2)
    add("lcm", cfg_scale=8.5, steps=4)
    add("lcm", cfg_scale=1, steps=1)
    return all_cases


def chunked(pipe, text: str, chunks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A long prompt in chunks of 75 tokens, each encoded by itself, joined along the token axis; pooled the first."""
    contexts = []
    for tokenizer, encoder in ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2)):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        rows = []
        for k in range(chunks):
            row = [tokenizer.bos_token_id, *ids[75 * k:75 * (k + 1)], tokenizer.eos_token_id]
            rows.append(row + [tokenizer.pad_token_id] * (77 - len(row)))
        outputs = encoder(torch.tensor(rows), output_hidden_states=True)
        hidden = outputs.hidden_states[-2]
        contexts.append(hidden.reshape(1, -1, hidden.shape[-1]))
    return torch.cat(contexts, -1), outputs.text_embeds[:1]


def use_sampler(pipe, case: dict):
    if "sampler" in case:
        pipe.scheduler = pipeline.CLASSES[case["sampler"]].from_config(pipe.scheduler.config)


def pair(text: str) -> tuple[int, int]:
    """diffusers puts the height first."""
    width, height = text.split("x")
    return int(height), int(width)


def draw(pipes: dict, case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """One case by diffusers: final latents fp32 [B, 4, h, w] and pictures uint8 [B, H, W, 3]."""
    pipe, refiner = pipes[case["model"]], pipes.get("refiner of " + case.get("refiner", ""))
    loaded = [(p, p.scheduler) for p in (pipe, refiner) if p]
    count = case.get("batch-count", 1)
    generators = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(count)]
    arguments = dict(num_inference_steps=case["steps"], guidance_scale=float(case["cfg-scale"]), generator=generators,
                     num_images_per_prompt=count, prompt=case["prompt"])
    if "guidance-rescale" in case:
        arguments["guidance_rescale"] = case["guidance-rescale"]
    if "negative-prompt" in case:
        arguments["negative_prompt"] = case["negative-prompt"]
    sizes = {"original-size": "original_size", "crop": "crops_coords_top_left", "target-size": "target_size"}
    arguments |= {name: pair(case[flag]) for flag, name in sizes.items() if flag in case}
    own = {}
    if case["prompt"] == LONG_PROMPT:
        chunks = -(-len(pipe.tokenizer(LONG_PROMPT, add_special_tokens=False).input_ids) // 75)
        own["prompt"], own["negative_prompt"] = None, None
        own["prompt_embeds"], own["pooled_prompt_embeds"] = chunked(pipe, LONG_PROMPT, chunks)
        negative = chunked(pipe, case.get("negative-prompt", ""), chunks)
        if "negative-prompt" not in case:
            negative = [torch.zeros_like(tensor) for tensor in negative]
        own["negative_prompt_embeds"], own["negative_pooled_prompt_embeds"] = negative
    if refiner:
        own["denoising_end"] = case["refiner-start"]
    use_sampler(pipe, case)
    latents = pipe(output_type="latent", width=case["width"], height=case["height"], **(arguments | own)).images
    if refiner:
        use_sampler(refiner, case)
        latents = refiner(image=latents, denoising_start=case["refiner-start"], output_type="latent", **arguments).images
    vae = (refiner or pipe).vae
    pictures = []
    for latent in latents.split(1):
        picture = vae.decode(latent / vae.config.scaling_factor).sample
        pictures.append(pipe.image_processor.postprocess(picture, output_type="np")[0])
    for p, scheduler in loaded:
        p.scheduler = scheduler
    pixels = np.ascontiguousarray((np.stack(pictures) * 255).round().astype(np.uint8))
    return latents.contiguous(), torch.from_numpy(pixels)


def load(folder: pathlib.Path, kind: str):
    more = {"add_watermarker": False} if CLASSES[kind].__name__.startswith("StableDiffusionXL") else {}
    pipe = CLASSES[kind].from_pretrained(folder, torch_dtype=torch.float32, **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def as_refiner(pipe):
    """Any SDXL model can continue another's latents."""
    other = StableDiffusionXLImg2ImgPipeline(**pipe.components, add_watermarker=False)
    other.set_progress_bar_config(disable=True)
    return other


PROJECTING_CLIP = dict(
    vocab_size=99, hidden_size=18, intermediate_size=24, num_hidden_layers=3, num_attention_heads=3,
    max_position_embeddings=20, hidden_act="gelu", bos_token_id=97, projection_dim=14,
)  # fmt: skip

# Likewise networks.UNET, and under `extras` what else the network sees.
UNET = {
    "unet_xl": dict(
        block_out_channels=[8, 12], layers_per_block=[2, 1], attention_head_dim=[2, 3], norm_num_groups=4,
        cross_attention_dim=20, down_block_types=[DOWN, CROSS_DOWN], up_block_types=[CROSS_UP, UP],
        transformer_layers_per_block=[1, 2], use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=6, projection_class_embeddings_input_dim=14 + 6 * 6, sample_size=8, latent=[2, 8, 6],
        tokens=7, extras={"pooled": [2, 14], "time_ids": [2, 6]},
    ),
    "unet_xl_refiner": dict(
        block_out_channels=[8, 12, 8], layers_per_block=1, attention_head_dim=[2, 3, 4], norm_num_groups=4,
        cross_attention_dim=18, down_block_types=[DOWN, CROSS_DOWN, DOWN], up_block_types=[UP, CROSS_UP, UP],
        transformer_layers_per_block=1, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=7, projection_class_embeddings_input_dim=14 + 5 * 7,
        flip_sin_to_cos=False, freq_shift=1, act_fn="gelu", sample_size=8, latent=[2, 8, 8], tokens=5,
        extras={"pooled": [2, 14], "time_ids": [2, 5]},
    ),
    "unet_distilled": dict(
        block_out_channels=[8, 8], layers_per_block=1, attention_head_dim=[2, 4], norm_num_groups=4,
        cross_attention_dim=12, down_block_types=[CROSS_DOWN, DOWN], up_block_types=[UP, CROSS_UP],
        time_cond_proj_dim=9, sample_size=8, latent=[2, 7, 8], tokens=4, extras={"guidance": [2, 9]},
    ),
}  # fmt: skip


def projecting_clip(config: dict):
    model = networks.randomise(CLIPTextModelWithProjection(CLIPTextConfig(**config)))
    # Ends in the middle, twice, and nowhere; under the old rule the highest id is elsewhere.
    tokens = torch.randint(0, 90, (3, config["max_position_embeddings"]))
    tokens[0, 6], tokens[1, 3], tokens[1, 9] = 98, 98, 98
    tokens[0, 12], tokens[2, 5] = 95, 94

    def forward(tokens):
        outputs = model(tokens, output_hidden_states=True)
        return {"penultimate": outputs.hidden_states[-2].contiguous(), "pooled": outputs.text_embeds}

    return model, {"tokens": tokens}, forward


def unet_with_extras(config: dict):
    extras = config.pop("extras")
    model, inputs, _ = networks.unet(config)
    inputs |= {name: torch.rand(shape) * 1000 if name == "time_ids" else torch.randn(shape)
               for name, shape in extras.items()}

    def forward(sample, timestep, context, pooled=None, time_ids=None, guidance=None):
        added = {"text_embeds": pooled, "time_ids": time_ids} if pooled is not None else None
        output = model(sample, timestep, encoder_hidden_states=context, timestep_cond=guidance, added_cond_kwargs=added)
        return {"sample": output.sample}

    return model, inputs, forward


def make(out: pathlib.Path) -> None:
    fp32 = {"fp32": torch.float32}
    for name, eos in (("clip_projection", 98), ("clip_projection_old", 2)):
        networks.make_one(name, projecting_clip, dict(PROJECTING_CLIP, eos_token_id=eos), out, fp32)
    for name, config in UNET.items():
        networks.make_one(name, unet_with_extras, config, out, fp32)

    pipes = {}
    for kind in CLASSES:
        save_model(out / "models" / kind, kind)
        pipes[kind] = load(out / "models" / kind, kind)
    # The same weights with another scheduler, in another pipeline.
    turbo, distilled = StableDiffusionXLPipeline, StableDiffusionPipeline
    for kind, model, more in (("turbo", turbo, {"add_watermarker": False}), ("distilled", distilled, {})):
        (out / f"{kind}_scheduler_config.json").write_text(json.dumps(SCHEDULERS[kind], indent=2))
        scheduler = getattr(diffusers, SCHEDULERS[kind]["_class_name"]).from_config(SCHEDULERS[kind])
        components = pipes["xl" if kind == "turbo" else "lcm"].components | {"scheduler": scheduler}
        pipes[kind] = model(**components, **more)
        pipes[kind].set_progress_bar_config(disable=True)
    pipes["refiner of refiner"], pipes["refiner of xl"] = pipes["refiner"], as_refiner(pipes["xl"])
    tensors = {}
    all_cases = cases()
    for i, case in enumerate(all_cases):
        latents, pictures = draw(pipes, case)
        assert latents.isfinite().all(), case
        tensors[f"{i:03}.latent"], tensors[f"{i:03}.image"] = latents, pictures
    save_file(tensors, out / "pictures.safetensors", metadata={"cases": json.dumps(all_cases)})
