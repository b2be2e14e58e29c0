"""Models with a sentencepiece tokenizer, by transformers and diffusers: ids, text encoders, whole pictures.

tests/golden/multilingual/texts.jsonl    the texts, a JSON string a line
tests/golden/multilingual/cases.json     tokenizers: their files, and the ids of what they name
tests/golden/multilingual/NAME.ids       a line a text: its ids, or `=` where they are those of the case's `base`
tests/golden/multilingual/NAME.part      a sentencepiece model without its normalization; NMT_NFKC.part is that of all.
                                         A message's parts one after the other are the message: a model file is both.
tests/golden/multilingual/NAME_tokenizer.json  the same as transformers saves it
tests/golden/multilingual/alt_encoder*   text encoders, as in networks.py
tests/golden/multilingual/models/        tiny AltDiffusion and Japanese Stable Diffusion models; they share what lies in
                                         models/shared
tests/golden/multilingual/tiny.safetensors  pictures and latents, as in pipeline.py
"""

import io
import json
import pathlib
import re
import shutil
import tempfile

import numpy as np
import sentencepiece
import torch
from diffusers import AltDiffusionPipeline, AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.deprecated.alt_diffusion.modeling_roberta_series import (
    RobertaSeriesConfig,
    RobertaSeriesModelWithTransformation,
)
from networks import TYPES, randomise
from pipeline import SCHEDULERS
from safetensors.torch import save_file
from text_data.multilingual import BY_HAND, TRAINING
from text_data.strings import strings
from tokenizers.models import Unigram
from transformers import CLIPTextConfig, CLIPTextModel, T5Tokenizer, XLMRobertaTokenizer
from transformers.convert_slow_tokenizer import import_protobuf

MODEL_FILES = {XLMRobertaTokenizer: "sentencepiece.bpe.model", T5Tokenizer: "spiece.model"}
JAPANESE_TOKENS = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip
MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False,
        "single_word": False}  # fmt: skip

# name: (class, model, base, tokenizer_config.json)
CASES = {
    "alt": (XLMRobertaTokenizer, "alt", None, {"model_max_length": 77}),
    "alt_published": (
        XLMRobertaTokenizer, "alt", "alt",
        {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": MASK, "model_max_length": 512,
         "pad_token": "<pad>", "sep_token": "</s>", "tokenizer_class": "XLMRobertaTokenizer", "unk_token": "<unk>"},
    ),
    "t5": (T5Tokenizer, "t5", None, {"model_max_length": 77, "tokenizer_class": "T5Tokenizer"}),
    "t5_few": (
        T5Tokenizer, "t5", "t5",
        {"extra_ids": 2, "model_max_length": 20},
    ),
    "japanese": (
        T5Tokenizer, "japanese", None,
        {**JAPANESE_TOKENS, "do_lower_case": True, "extra_ids": 0, "model_max_length": 77,
         "tokenizer_class": "T5Tokenizer"},
    ),
}  # fmt: skip


def train(kind: str, **options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING * 20), model_writer=model, model_type=kind, num_threads=1, minloglevel=2,
        hard_vocab_limit=False, **options)
    return model.getvalue()


def train_all() -> dict[str, bytes]:
    common = {"vocab_size": 800, "character_coverage": 0.99}
    t5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    japanese = {"pad_id": 3, "pad_piece": "[PAD]", "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
    return {
        "alt": train("unigram", **common),
        "t5": train("unigram", **common, **t5, user_defined_symbols=["<sym>", "水彩"]),
        "japanese": train("unigram", **common, **japanese),
        "bpe": train("bpe", vocab_size=400, character_coverage=0.98, normalization_rule_name="identity", **t5),
    }


def parts(model: bytes):
    """A model without its normalization, and that alone."""
    proto = import_protobuf().ModelProto
    whole, rest = proto.FromString(model), proto.FromString(model)
    rest.ClearField("normalizer_spec")
    map_alone = proto()
    map_alone.normalizer_spec.precompiled_charsmap = whole.normalizer_spec.precompiled_charsmap
    return rest.SerializePartialToString(), map_alone.SerializePartialToString()


def load_tokenizer(case: str, model: bytes):
    cls, _, _, config = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / MODEL_FILES[cls]).write_bytes(model)
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = cls.from_pretrained(folder)
    if case == "japanese":
        # transformers 5 takes 2 for the unknown token of every T5Tokenizer; the model's own is what it was trained with.
        pieces = json.loads(tokenizer._tokenizer.to_str())["model"]["vocab"]
        tokenizer._tokenizer.model = Unigram([tuple(piece) for piece in pieces], 0, False)
    return tokenizer


def lower(text: str) -> str:
    """As the model's own pipeline does with transformers 4, which leaves special tokens as they are."""
    special = [token for token in JAPANESE_TOKENS.values() if token in text]
    if not special:
        return text.lower()
    parts = re.split("(" + "|".join(map(re.escape, special)) + ")", text)
    return "".join(part if part in special else part.lower() for part in parts)


def texts() -> list[str]:
    """Lower case is Python's and ours for all of them: final sigmas and dotted capital i are left out."""
    chosen = BY_HAND + [text for text in strings()[::5] if len(text) < 400]
    return [text for text in chosen if not set(text) & set("ΣİϹ")]


def make_tokenizers(out: pathlib.Path, models: dict[str, bytes]) -> None:
    for name, model in models.items():
        rest, normalization = parts(model)
        (out / f"{name}.part").write_bytes(rest)
        if name != "bpe":
            (out / "nmt_nfkc.part").write_bytes(normalization)
    all_texts = texts()
    with open(out / "texts.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in all_texts)
    cases, all_ids = {}, {}
    for name, (cls, model, base, config) in CASES.items():
        tokenizer = load_tokenizer(name, models[model])
        given = [lower(text) for text in all_texts] if config.get("do_lower_case") else all_texts
        all_ids[name] = ids = tokenizer(given, add_special_tokens=False, verbose=False).input_ids
        framed = tokenizer("", add_special_tokens=True).input_ids
        cases[name] = {
            "model": model, "file": MODEL_FILES[cls], "base": base, "config": config,
            "start": framed[0] if len(framed) == 2 else None, "end": framed[-1], "pad": tokenizer.pad_token_id,
            "model_max_length": tokenizer.model_max_length, "vocab_size": len(tokenizer),
            "pieces": {i: tokenizer.convert_ids_to_tokens(i) for i in (0, 1, 2, 3, 4, 100, len(tokenizer) - 1)},
        }  # fmt: skip
        if base is None:  # as transformers saves it, less the map that all of them share
            with tempfile.TemporaryDirectory() as folder:
                tokenizer.save_pretrained(folder)
                whole = json.loads((pathlib.Path(folder) / "tokenizer.json").read_text())
                saved = json.loads((pathlib.Path(folder) / "tokenizer_config.json").read_text())
            whole["normalizer"] = None
            (out / f"{name}_tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False) + "\n")
            cases[name]["saved_config"] = saved
        lines = ["=" if base and ids[i] == all_ids[base][i] else " ".join(map(str, ids[i])) for i in range(len(ids))]
        (out / f"{name}.ids").write_text("\n".join(lines) + "\n")
    (out / "cases.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")

    # A model of merges, which transformers has no class for among these: sentencepiece's own ids, spaces apart.
    library = sentencepiece.SentencePieceProcessor(model_proto=models["bpe"])
    words = sorted({word for text in BY_HAND for word in text.split() if word.isprintable() and not set(word) & set("<▁")})
    (out / "bpe.json").write_text(json.dumps({word: " ".join(map(str, library.encode(word))) for word in words}, indent=0) + "\n")


ENCODERS = {
    "alt_encoder": dict(
        vocab_size=90, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=30, type_vocab_size=1, project_dim=20, layer_norm_eps=1e-5,
    ),
    "alt_encoder_pre": dict(
        vocab_size=70, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, pad_token_id=3,
        max_position_embeddings=40, type_vocab_size=2, project_dim=28, has_pre_transformation=True, hidden_act="relu",
    ),
    "alt_encoder_unmasked": dict(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16,
        max_position_embeddings=24, type_vocab_size=1, project_dim=8, has_pre_transformation=True,
        use_attention_mask=False,
    ),
}  # fmt: skip


def make_encoder(out: pathlib.Path, name: str, config: dict) -> None:
    torch.manual_seed(sum(name.encode()))
    model = randomise(RobertaSeriesModelWithTransformation(RobertaSeriesConfig(**config)))
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data += 1.0
    pad = model.config.pad_token_id
    tokens = torch.randint(4, config["vocab_size"], (2, 12))
    tokens[0, 7:] = pad
    tokens[1, 10:] = pad
    tokens[1, 4] = pad  # also within the text, where the mask shows it
    mask = torch.arange(12).expand(2, -1) < torch.tensor([[7], [10]])
    # In half of fp32's bytes; the reference computes with the weights as stored.
    weights = {f"weight.{k}": v.bfloat16() for k, v in model.state_dict().items()}
    tensors = {**weights, "input.tokens": tokens, "input.mask": mask}
    for type_name, kind in TYPES.items():
        model.to(kind).load_state_dict({k.removeprefix("weight."): v for k, v in weights.items()})
        seen = mask.long() if model.config.use_attention_mask else None
        tensors[f"output.{type_name}.hidden"] = model(tokens, attention_mask=seen)[0].contiguous()
    save_file(tensors, out / f"{name}.safetensors")
    saved = json.loads(model.config.to_json_string(use_diff=False))
    (out / f"{name}.json").write_text(json.dumps(saved, indent=1) + "\n")


def save_rounded(model: torch.nn.Module, folder: pathlib.Path) -> None:
    """In half of fp32's bytes; from here on the model has the weights as stored."""
    model.to(torch.bfloat16).save_pretrained(folder)
    model.to(torch.float32)


PROMPTS = ["红色的房子在绿色的山丘上，油画", "赤い屋根の家と猫", "A red house, on GREEN hills!"]
LONG_PROMPT = "緑の丘の上の赤い家、星空の下で " * 12


def save_index(folder: pathlib.Path, pipeline: str, text_encoder: list[str], tokenizer: str) -> None:
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": pipeline, "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": text_encoder,
        "tokenizer": ["transformers", tokenizer], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"], "safety_checker": [None, None], "feature_extractor": [None, None],
    }, indent=2))  # fmt: skip


def chunked(tokenizer, encode, text: str, chunks: int) -> torch.Tensor:
    """A long prompt in chunks, each encoded by itself, joined along the token axis."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    around = tokenizer("").input_ids
    room = 77 - len(around)
    rows, masks = [], []
    for k in range(chunks):
        row = around[:-1] + ids[room * k : room * (k + 1)] + around[-1:]
        masks.append([1] * len(row) + [0] * (77 - len(row)))
        rows.append(row + [tokenizer.pad_token_id] * (77 - len(row)))
    hidden = encode(torch.tensor(rows), torch.tensor(masks))
    return hidden.reshape(1, -1, hidden.shape[-1])


def make_pipelines(out: pathlib.Path, models: dict[str, bytes]) -> None:
    shutil.rmtree(out / "models", ignore_errors=True)
    torch.manual_seed(5)
    width = 24
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=width, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2).eval()
    vae = AutoencoderKL(
        block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2).eval()
    vae.decoder.conv_out.weight.mul_(2)
    scheduler = PNDMScheduler.from_config(SCHEDULERS["sd1"])
    shared = out / "models" / "shared"
    save_rounded(unet, shared / "unet")
    save_rounded(vae, shared / "vae")
    (shared / "scheduler").mkdir()
    (shared / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULERS["sd1"], indent=2))
    parts_of = dict(vae=vae, unet=unet, scheduler=scheduler, safety_checker=None, feature_extractor=None,
                    requires_safety_checker=False)

    pipes = {}
    for name, case in (("alt", "alt"), ("alt_m18", "alt_published"), ("japanese", "japanese")):
        folder = out / "models" / name
        tokenizer = load_tokenizer(case, models[CASES[case][1]])
        tokenizer.model_max_length = 77
        if name == "japanese":
            text = CLIPTextModel(CLIPTextConfig(
                vocab_size=len(tokenizer), hidden_size=width, intermediate_size=48, num_hidden_layers=2,
                num_attention_heads=3, max_position_embeddings=77, hidden_act="quick_gelu", bos_token_id=1,
                eos_token_id=2, pad_token_id=3)).eval()
            pipes[name] = StableDiffusionPipeline(tokenizer=tokenizer, text_encoder=text, **parts_of)
        else:
            text = RobertaSeriesModelWithTransformation(RobertaSeriesConfig(
                vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=24, max_position_embeddings=80, type_vocab_size=1, project_dim=width,
                has_pre_transformation=name == "alt_m18")).eval()
            pipes[name] = AltDiffusionPipeline(tokenizer=tokenizer, text_encoder=text, **parts_of)
        for parameter in text.parameters():
            if parameter.dim() == 2:  # attend to something: the default 0.02 leaves every token alike
                parameter.mul_(8)
        save_rounded(text, folder / "text_encoder")
        if name == "japanese":
            save_index(folder, "JapaneseStableDiffusionPipeline", ["transformers", "CLIPTextModel"], "T5Tokenizer")
        else:
            save_index(folder, "AltDiffusionPipeline", ["alt_diffusion", "RobertaSeriesModelWithTransformation"],
                       "XLMRobertaTokenizer")
        pipes[name].set_progress_bar_config(disable=True)

    tensors, cases = {}, []
    for name, pipe in pipes.items():
        for prompt in [*PROMPTS, LONG_PROMPT]:
            case = {"model": name, "prompt": prompt, "negative-prompt": "模糊", "steps": 5, "cfg-scale": 7.5, "seed": 7,
                    "width": 16, "height": 16}
            given = [prompt.lower(), "模糊"] if name == "japanese" else [prompt, "模糊"]
            arguments = dict(prompt=given[0], negative_prompt=given[1])
            if prompt == LONG_PROMPT:
                if name == "japanese":
                    encode = lambda rows, masks: pipe.text_encoder(rows).last_hidden_state  # noqa: E731
                else:
                    encode = lambda rows, masks: pipe.text_encoder(rows, attention_mask=masks)[0]  # noqa: E731
                length = len(pipe.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids)
                chunks = -(-length // (77 - len(pipe.tokenizer("").input_ids)))
                arguments = dict(prompt_embeds=chunked(pipe.tokenizer, encode, given[0], chunks),
                                 negative_prompt_embeds=chunked(pipe.tokenizer, encode, given[1], chunks))
            latents = pipe(output_type="latent", num_inference_steps=5, guidance_scale=7.5, width=16, height=16,
                           generator=torch.Generator("cpu").manual_seed(7), **arguments).images
            picture = pipe.image_processor.postprocess(
                pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample, output_type="np")
            key = f"{len(cases):03}"
            tensors[key + ".latent"] = latents.contiguous()
            tensors[key + ".image"] = torch.from_numpy(np.ascontiguousarray((picture * 255).round().astype(np.uint8)))
            cases.append(case)
    save_file(tensors, out / "tiny.safetensors", metadata={"cases": json.dumps(cases)})


def make(out: pathlib.Path) -> None:
    models = train_all()
    make_tokenizers(out, models)
    for name, config in ENCODERS.items():
        make_encoder(out, name, config)
    make_pipelines(out, models)
