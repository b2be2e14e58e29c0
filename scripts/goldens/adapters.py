"""LoRA files of every kind and key space, and what they change: by LyCORIS's modules, PEFT's merging and diffusers'
loading (pip install --no-deps -r scripts/goldens/adapters_requirements.txt), on two tiny random models. Where those
disagree with the rule that we follow (DoRA at other scales than 1, kohya's OFT) the published formula in float64.

models.safetensors: every weight, as MODEL/COMPONENT/KEY in transformers' and diffusers' names. NAME.safetensors, or a
folder NAME as PEFT saves it: the LoRA. expected.safetensors: NAME/SCALE/COMPONENT/KEY, what is to be added there; at
scale 1 all that changes, at others what changes with them in another way than by the factor."""

import json
import pathlib
import shutil

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
import peft.tuners.boft.layer as boft_layer
from peft import BOFTConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import networks

SCALES = (1.0, 0.6, -0.4)
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0"
LINEAR, WIDE, CONV, POINT = f"{ATTENTION}.attn2.to_k", f"{ATTENTION}.ff.net.0.proj", "down_blocks.1.resnets.0.conv1", \
    "down_blocks.0.attentions.0.proj_in"
SQUARE_CONV, NORM, GROUP_NORM = "down_blocks.0.resnets.0.conv1", f"{ATTENTION}.norm1", "down_blocks.0.resnets.0.norm1"


def unet(kind: str) -> UNet2DConditionModel:
    xl = kind == "xl"
    return UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=(networks.DOWN, networks.CROSS_DOWN) if xl else (networks.CROSS_DOWN, networks.DOWN),
        up_block_types=(networks.CROSS_UP, networks.UP) if xl else (networks.UP, networks.CROSS_UP),
        norm_num_groups=4, cross_attention_dim=20 if xl else 12, attention_head_dim=(1, 2),
        transformer_layers_per_block=(1, 2) if xl else 1, use_linear_projection=xl,
        **({"addition_embed_type": "text_time", "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 34} if xl else {})).requires_grad_(False)


def text_encoder(width: int, projection: int = 0):
    config = CLIPTextConfig(vocab_size=40, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
                            num_attention_heads=2, max_position_embeddings=77, projection_dim=projection or width)
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).requires_grad_(False)


def models() -> dict:
    """Fresh ones, with the same weights each time."""
    torch.manual_seed(13)
    made = {"sd1": {"unet": unet("sd1"), "text_encoder": text_encoder(12)},
            "xl": {"unet": unet("xl"), "text_encoder": text_encoder(8), "text_encoder_2": text_encoder(12, 10)}}
    for components in made.values():
        for component in components.values():
            for parameter in component.parameters():
                parameter.copy_(torch.randn_like(parameter).mul_(0.3).half())
    return made


def layer_of(component, name: str):
    return component.get_submodule(name)


class Expected:
    def __init__(self):
        self.tensors, self.cases = {}, {}

    def add(self, case: str, scale: float, component: str, key: str, difference) -> None:
        self.tensors[f"{case}/{scale:g}/{component}/{key}"] = difference.detach().float().contiguous()


def randomise(module, size: float = 0.3, dtype=torch.float32) -> None:
    for parameter in module.parameters():
        parameter.data = (torch.randn_like(parameter) * size).to(dtype).to(torch.float32)


def flat(name: str) -> str:
    return name.replace(".", "_")


def decomposed(module, weight, difference, scale: float):
    """The rule for every scale: W + s·(m·V/‖V‖ − W), in float64, the axis by the shape of m."""
    v = weight + difference
    m = module.dora_scale.double()
    dims = [d for d in range(v.dim()) if m.shape[d] == 1]
    return scale * (m * v / v.square().sum(dims, keepdim=True).sqrt() - weight)


def lycoris_case(out, expected: Expected, name: str, cls, layers, alpha=2.0, dim=2, size=0.3, dtype=torch.float32,
                 metadata=None, prefix="lora_unet_", text=False, **options) -> None:
    made = models()["sd1"]
    component = "text_encoder" if text else "unet"
    file = {}
    for layer in layers:
        original = layer_of(made[component], layer)
        module = cls("", original, 1.0, lora_dim=dim, alpha=alpha, **options)
        randomise(module, size, dtype)
        if hasattr(module, "dora_scale"):
            module.dora_scale.data = module.dora_scale.data.abs() + 0.5
        state = {key: value.detach().clone() for key, value in module.custom_state_dict().items()} \
            if module.custom_state_dict() is not None else module.state_dict()
        if cls is FullModule:
            state = {"diff": module.weight.data.clone(), "diff_b": module.bias.data.clone()}
        for key, value in state.items():
            file[f"{prefix}{flat(layer)}.{key}"] = value.to(dtype) if value.is_floating_point() else value
        weight, bias = original.weight.double(), getattr(original, "bias", None)
        if cls not in (DiagOFTModule, ButterflyOFTModule):  # which invert in float32, whatever the type
            original.double(), module.double()
        for scale in SCALES:
            if cls in (LohaModule, LokrModule):  # its merging multiplies by alpha / rank twice
                difference = module.get_weight(original.weight.shape)
                merged = weight + difference * scale
            elif cls is LoConModule:
                difference = module.get_diff_weight(1, original.weight.shape)[0]
                merged = weight + difference * scale
            elif cls in (FullModule, NormModule):
                w, b = module.get_diff_weight(scale)
                merged = weight + w
                if b is not None:
                    expected.add(name, scale, component, f"{layer}.bias", b)
            else:
                merged = module.get_merged_weight(scale, original.weight.shape)[0]
            change = merged - weight
            if getattr(module, "wd", False):
                change = decomposed(module, weight, difference, scale)
                if scale == 1:
                    theirs = module.apply_weight_decompose(weight + difference, 1) - weight
                    assert torch.allclose(change, theirs, atol=1e-9), name
            expected.add(name, scale, component, f"{layer}.weight", change)
    save_file({key: value.contiguous() for key, value in file.items()}, out / f"{name}.safetensors", metadata)


def lycoris_cases(out: pathlib.Path, expected: Expected) -> None:
    both, convs = [LINEAR, WIDE], [CONV, SQUARE_CONV]

    def case(name, cls, layers, **options):
        lycoris_case(out, expected, name, cls, layers, **options)

    case("locon", LoConModule, both + convs + [POINT], alpha=3.0)
    case("locon_half", LoConModule, [LINEAR, CONV], dtype=torch.float16, alpha=1.0)
    case("locon_bf16", LoConModule, [LINEAR, CONV], dtype=torch.bfloat16, alpha=1.0)
    case("locon_tucker", LoConModule, convs, use_tucker=True, dim=3)
    case("locon_text", LoConModule, ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"],
         prefix="lora_te_text_model_", text=True)
    case("rs_lora", LoConModule, [LINEAR, CONV], dim=4, rs_lora=True,
         metadata={"ss_network_module": "lycoris.kohya", "ss_network_alpha": "2.0",
                   "ss_network_args": json.dumps({"algo": "lora", "rs_lora": "True"})})
    case("dora", LoConModule, [LINEAR, WIDE, CONV, SQUARE_CONV, POINT], weight_decompose=True)
    case("dora_inputs", LoConModule, [LINEAR, WIDE, CONV, SQUARE_CONV, POINT], weight_decompose=True, wd_on_out=False)
    case("loha", LohaModule, both + convs, alpha=1.0)
    case("loha_tucker", LohaModule, convs, use_tucker=True)
    case("loha_dora", LohaModule, [LINEAR, CONV], weight_decompose=True)
    case("lokr", LokrModule, [WIDE, CONV], dim=1, alpha=3.0)
    case("lokr_full", LokrModule, both + convs, full_matrix=True, alpha=7.0)
    case("lokr_both", LokrModule, [WIDE, CONV], dim=1, alpha=3.0, decompose_both=True, factor=4)
    case("lokr_tucker", LokrModule, convs, dim=1, alpha=0.5, use_tucker=True, factor=2)
    case("lokr_unbalanced", LokrModule, [WIDE, LINEAR], dim=1, alpha=2.0, factor=2, unbalanced_factorization=True)
    case("lokr_dora", LokrModule, [WIDE, CONV], dim=1, alpha=3.0, weight_decompose=True, wd_on_out=False)
    case("glora", GLoRAModule, both + convs, alpha=1.0)
    case("ia3", IA3Module, [LINEAR, CONV])
    case("ia3_inputs", IA3Module, [LINEAR, CONV], train_on_input=True)
    case("full", FullModule, [WIDE, CONV])
    case("norm", NormModule, [NORM, GROUP_NORM])
    case("oft", DiagOFTModule, both + convs, dim=4, size=0.2)
    case("oft_limited", DiagOFTModule, both, dim=4, size=0.2, constraint=0.05)
    case("oft_rescaled", DiagOFTModule, [LINEAR, CONV], dim=2, size=0.2, rescaled=True)
    case("boft", ButterflyOFTModule, [LINEAR, WIDE, CONV], dim=4, size=0.2)
    case("boft_limited", ButterflyOFTModule, [LINEAR, WIDE], dim=4, size=0.2, constraint=0.05, rescaled=True)


def kohya_oft(out: pathlib.Path, expected: Expected) -> None:
    """networks.oft: the norm of Q is clamped to alpha times the outputs, and an alpha of 0 leaves nothing."""
    made = models()["sd1"]["unet"]
    for name, alpha in (("oft_kohya", 0.05), ("oft_kohya_zero", 0.0)):
        blocks, file = torch.randn(4, 2, 2) * 0.3, {}
        weight = layer_of(made, LINEAR).weight.double()
        q = (blocks - blocks.transpose(1, 2)).double()
        norm = q.norm()
        q = q * ((norm.clamp(max=alpha * weight.shape[0]) + 1e-8) / (norm + 1e-8))
        one = torch.eye(2, dtype=torch.float64)
        r = (one + q) @ torch.linalg.inv(one - q)
        file[f"oft_unet_{flat(LINEAR)}.oft_blocks"] = blocks
        file[f"oft_unet_{flat(LINEAR)}.alpha"] = torch.tensor(alpha)
        for scale in SCALES:
            turned = torch.einsum("knm,kni->kmi", one + scale * (r - one), weight.view(4, 2, -1)).reshape(weight.shape)
            expected.add(name, scale, "unet", f"{LINEAR}.weight", turned - weight)
        save_file(file, out / f"{name}.safetensors")


def weights_of(component) -> dict:
    return {key.replace(".base_layer", "").replace("base_model.model.", ""): value.detach().clone()
            for key, value in component.state_dict().items() if "lora_" not in key and "_mask" not in key}


def add_changes(expected: Expected, name: str, component: str, before: dict, after: dict) -> None:
    changed = 0
    for key, value in before.items():
        if not torch.equal(after[key], value):
            expected.add(name, 1.0, component, key, after[key].double() - value.double())
            changed += 1
    assert changed > 0, name


def peft_case(out: pathlib.Path, expected: Expected, name: str, config, model="sd1", component="unet", size=0.3) -> None:
    made = models()[model][component]
    before = weights_of(made)
    wrapped = get_peft_model(made, config)
    for key, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * size
            if "magnitude" in key or "ia3" in key or "boft_s" in key:
                parameter.data = parameter.data.abs() + 0.5
    shutil.rmtree(out / name, ignore_errors=True)
    wrapped.save_pretrained(out / name)
    (out / name / "README.md").unlink()
    # Written again, for sets have another order in each run, and so have two keys of metadata.
    path = out / name / "adapter_config.json"
    config = {key: sorted(value) if isinstance(value, list) else value
              for key, value in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(load_file(out / name / "adapter_model.safetensors"), out / name / "adapter_model.safetensors")
    add_changes(expected, name, component, before, weights_of(wrapped.merge_and_unload()))


def peft_cases(out: pathlib.Path, expected: Expected) -> None:
    some = [LINEAR, WIDE, CONV, POINT]

    def case(name, config, **options):
        peft_case(out, expected, name, config, **options)

    case("peft_lora", LoraConfig(r=2, lora_alpha=3, target_modules=some, init_lora_weights=False,
                                 rank_pattern={WIDE: 4}, alpha_pattern={"attn2.to_k": 5}))
    case("peft_rslora", LoraConfig(r=4, lora_alpha=3, target_modules=some, init_lora_weights=False, use_rslora=True))
    case("peft_dora", LoraConfig(r=2, lora_alpha=2, target_modules=some, init_lora_weights=False, use_dora=True))
    case("peft_bias", LoraConfig(r=2, lora_alpha=3, target_modules=[WIDE], init_lora_weights=False, lora_bias=True))
    case("peft_text", LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "fc1", "token_embedding"],
                                 init_lora_weights=False), model="xl", component="text_encoder_2")
    case("peft_loha", LoHaConfig(r=2, alpha=3, target_modules=some, init_weights=False, use_effective_conv2d=True))
    case("peft_lokr", LoKrConfig(r=1, alpha=3, target_modules=some, init_weights=False, use_effective_conv2d=True,
                                 decompose_both=True))
    case("peft_lokr_full", LoKrConfig(r=16, alpha=3, target_modules=some, init_weights=False))
    case("peft_ia3", IA3Config(target_modules=some + ["conv_out"], feedforward_modules=[WIDE, "conv_out"]))
    case("peft_oft", OFTConfig(r=0, oft_block_size=4, target_modules=[LINEAR, WIDE, CONV], init_weights=False), size=0.1)
    case("peft_oft_exact", OFTConfig(r=0, oft_block_size=4, target_modules=[LINEAR], init_weights=False, coft=True,
                                     eps=0.2, block_share=True, use_cayley_neumann=False), size=0.1)
    case("peft_boft", BOFTConfig(boft_block_size=4, target_modules=[LINEAR, WIDE, CONV], init_weights=False))


def plain(component, layers, rank=2) -> dict:
    """layer → down, up"""
    pairs = {}
    for layer in layers:
        weight = layer_of(component, layer).weight
        down = torch.randn(rank, *weight.shape[1:]) * 0.3
        up = torch.randn(weight.shape[0], rank, *[1] * (weight.dim() - 2)) * 0.3
        pairs[layer] = down, up
    return pairs


def diffusers_case(out: pathlib.Path, expected: Expected, name: str, model: str, file: dict, metadata=None) -> None:
    """What diffusers' loader makes of the file."""
    made = models()[model]
    before = {component: weights_of(module) for component, module in made.items()}
    save_file({key: value.contiguous() for key, value in file.items()}, out / f"{name}.safetensors", metadata)
    mixin = StableDiffusionXLLoraLoaderMixin if model == "xl" else StableDiffusionLoraLoaderMixin
    found = mixin.lora_state_dict(str(out / f"{name}.safetensors"), unet_config=made["unet"].config,
                                  return_lora_metadata=True)
    state, alphas, config = found
    if any(key.startswith("unet.") for key in state):
        mixin.load_lora_into_unet(state, alphas, made["unet"], metadata=config)
        made["unet"].fuse_lora()
    for component in made:
        if component != "unet" and any(key.startswith(component + ".") for key in state):
            mixin.load_lora_into_text_encoder(state, alphas, made[component], prefix=component, metadata=config)
            for module in made[component].modules():
                if hasattr(module, "merge"):
                    module.merge()
    changed = 0
    for component, module in made.items():
        for key, value in weights_of(module).items():
            if not torch.equal(value, before[component][key]):
                expected.add(name, 1.0, component, key, value.double() - before[component][key].double())
                changed += 1
    assert changed > 0, name


# As the original code's U-Net calls them, of the tiny SDXL model; diffusers' names beside them.
SGM = {"input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
       "input_blocks_1_0_emb_layers_1": "down_blocks.0.resnets.0.time_emb_proj",
       "input_blocks_2_0_op": "down_blocks.0.downsamplers.0.conv",
       "input_blocks_3_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
       "input_blocks_3_1_proj_in": "down_blocks.1.attentions.0.proj_in",
       "input_blocks_3_1_transformer_blocks_1_attn2_to_out_0":
           "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_out.0",
       "middle_block_1_transformer_blocks_0_ff_net_0_proj": "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
       "middle_block_2_out_layers_3": "mid_block.resnets.1.conv2",
       "output_blocks_1_1_transformer_blocks_0_attn1_to_q": "up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q",
       "output_blocks_1_2_conv": "up_blocks.0.upsamplers.0.conv",
       "output_blocks_3_0_in_layers_2": "up_blocks.1.resnets.1.conv1",
       "label_emb_0_0": "add_embedding.linear_1", "time_embed_2": "time_embedding.linear_2"}


def key_spaces(out: pathlib.Path, expected: Expected) -> None:
    made = models()
    attention = [f"{ATTENTION}.attn1.to_q", f"{ATTENTION}.attn2.to_k", f"{ATTENTION}.attn1.to_out.0"]
    text = [f"text_model.encoder.layers.{i}.self_attn.{part}" for i, part in enumerate(("q_proj", "out_proj"))]
    mlp = ["text_model.encoder.layers.1.mlp.fc1"]
    in_unet = plain(made["sd1"]["unet"], attention)
    in_text = plain(made["sd1"]["text_encoder"], [name.removeprefix("text_model.") for name in text + mlp])
    in_text = {f"text_model.{name}": pair for name, pair in in_text.items()}

    def written(pairs, prefix, down, up, rename=lambda name: name, alpha=None):
        file = {}
        for layer, (first, second) in pairs.items():
            file[f"{prefix}{rename(layer)}{down}"], file[f"{prefix}{rename(layer)}{up}"] = first, second
            if alpha is not None:
                file[f"{prefix}{rename(layer)}.alpha"] = torch.tensor(alpha)
        return file

    def old(name):
        name = name.replace(".attn1.", ".attn1.processor.").replace(".attn2.", ".attn2.processor.")
        return name.replace(".to_out.0", ".to_out")

    def old_text(name):
        return name.replace("q_proj", "to_q").replace("out_proj", "to_out")

    diffusers_case(out, expected, "space_diffusers", "sd1",
                   written(in_unet, "unet.", ".lora.down.weight", ".lora.up.weight") |
                   written(in_text, "text_encoder.", ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"))
    diffusers_case(out, expected, "space_peft", "sd1",
                   written(in_unet, "unet.", ".lora_A.weight", ".lora_B.weight") |
                   written(in_text, "text_encoder.", ".lora_A.weight", ".lora_B.weight"))
    attention_text = {name: pair for name, pair in in_text.items() if "self_attn" in name}
    diffusers_case(out, expected, "space_old", "sd1",
                   written(in_unet, "unet.", "_lora.down.weight", "_lora.up.weight", old) |
                   written(attention_text, "text_encoder.", "_lora.down.weight", "_lora.up.weight", old_text))
    diffusers_case(out, expected, "space_kohya", "sd1",
                   written(in_unet, "lora_unet_", ".lora_down.weight", ".lora_up.weight", flat, 1.5) |
                   written(in_text, "lora_te_", ".lora_down.weight", ".lora_up.weight", flat, 1.5))
    # The same as a checkpoint, its alphas as numbers.
    file = written(in_unet, "lora_unet_", ".lora_down.weight", ".lora_up.weight", flat) | \
        written(in_text, "lora_te_", ".lora_down.weight", ".lora_up.weight", flat)
    alphas = {key.replace("lora_up.weight", "alpha"): 1.5 for key in file if "lora_up" in key}
    torch.save(file | alphas, out / "space_torch.pt")
    for key in [key for key in expected.tensors if key.startswith("space_kohya/")]:
        expected.tensors[key.replace("space_kohya/", "space_torch/")] = expected.tensors[key].clone()
    metadata = {f"unet.{key}": value for key, value in
                {"r": 2, "lora_alpha": 5, "use_rslora": True, "target_modules": ["to_q", "to_k", "to_out.0"],
                 "alpha_pattern": {f"{ATTENTION}.attn2.to_k": 3}}.items()}
    diffusers_case(out, expected, "space_metadata", "sd1",
                   written(in_unet, "unet.", ".lora_A.weight", ".lora_B.weight"),
                   {"format": "pt", "lora_adapter_metadata": json.dumps(metadata)})

    named = plain(made["xl"]["unet"], SGM.values())
    sgm = {theirs: named[ours] for theirs, ours in SGM.items()}
    # diffusers' loader knows this layout by an output projection.
    layers = ["encoder.layers.0.self_attn.out_proj", "encoder.layers.1.mlp.fc2"]
    first = plain(made["xl"]["text_encoder"], layers)
    second = plain(made["xl"]["text_encoder_2"], [f"text_model.{name}" for name in layers])

    def kohya_text(name):
        return flat(name if name.startswith("text_") else f"text_model.{name}")

    texts = (written(first, "lora_te1_", ".lora_down.weight", ".lora_up.weight", kohya_text, 1.0) |
             written(second, "lora_te2_", ".lora_down.weight", ".lora_up.weight", kohya_text, 1.0))
    diffusers_case(out, expected, "space_xl", "xl", written(named, "unet.", ".lora_A.weight", ".lora_B.weight"))
    kohya = written(sgm, "lora_unet_", ".lora_down.weight", ".lora_up.weight", flat, 2.0)
    diffusers_case(out, expected, "space_sgm", "xl", kohya | texts)


def further_peft_cases(out: pathlib.Path, expected: Expected) -> None:
    patterns = LoraConfig(r=2, lora_alpha=3, target_modules=r".*attn[12]\.to_(q|k)|.*\.conv1", init_lora_weights=False,
                          rank_pattern={r"down_blocks\..*attn1\.to_q": 4, r".*\.conv[12]": 3},
                          alpha_pattern={r"^down_blocks.*to_k": 5, r"attn(1|2)\.to_[kq]": 7})
    peft_case(out, expected, "peft_patterns", patterns)
    # Of several stages PEFT computes on CUDA devices alone: a kernel that sets blocks on a diagonal.
    diagonal = type("Diagonal", (), {"apply": staticmethod(lambda r: torch.stack([torch.block_diag(*one) for one in r]))})
    kept = boft_layer.get_fbd_cuda, boft_layer.FastBlockDiag
    boft_layer.get_fbd_cuda, boft_layer.FastBlockDiag = (lambda: True), diagonal
    for name, factor, layers in (("peft_boft_two", 2, [LINEAR, WIDE, CONV]), ("peft_boft_three", 3, [WIDE, CONV])):
        peft_case(out, expected, name, BOFTConfig(boft_block_size=2, boft_n_butterfly_factor=factor, init_weights=False,
                                                  target_modules=layers))
    boft_layer.get_fbd_cuda, boft_layer.FastBlockDiag = kept


def wrapped_checkpoint(out: pathlib.Path, expected: Expected) -> None:
    """space_torch as trainers keep it, beside a count: α are numbers there, too."""
    torch.save({"state_dict": torch.load(out / "space_torch.pt"), "epoch": 3}, out / "space_wrapped.pt")
    for key in [key for key in expected.tensors if key.startswith("space_kohya/")]:
        expected.tensors[key.replace("space_kohya/", "space_wrapped/")] = expected.tensors[key].clone()


def make(out: pathlib.Path) -> None:
    torch.manual_seed(1300)
    expected = Expected()
    lycoris_cases(out, expected)
    kohya_oft(out, expected)
    peft_cases(out, expected)
    key_spaces(out, expected)
    further_peft_cases(out, expected)
    wrapped_checkpoint(out, expected)
    save_file(expected.tensors, out / "expected.safetensors")
    save_file({f"{model}/{component}/{key}": value.half().contiguous() for model, components in models().items()
               for component, module in components.items() for key, value in module.state_dict().items()
               if value.is_floating_point()}, out / "models.safetensors")
