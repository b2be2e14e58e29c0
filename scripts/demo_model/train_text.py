"""The second stage: the text encoder, taught to tell the scene before there is a U-Net to tell it to.

A linear head on the mean of the 77 hidden states (what a cross-attention sees that attends to everything alike) names
sky, ground, and kind and colour of what stands left, in the middle and right. The head is thrown away; the encoder
stays as it is from here on, so that the U-Net meets a finished language.
"""

import pathlib
import random
import time

import torch
from torch.nn import functional

from demo_model.captions import caption
from demo_model.networks import CONTEXT, TOKENS, make_text_encoder
from demo_model.optimiser import Optimiser, learning_rate, save_checkpoint
from demo_model.scenes import COLOURS, GROUNDS, KINDS, SIDES, SKIES, Scene, training_scene
from demo_model.tokenizer import Encoder, write_tokenizer

PEAK = 1e-3
SHORT = 40  # tokens; no caption is longer, and the first four fifths of the steps save the padding
QUESTIONS = (
    [("sky", len(SKIES)), ("ground", len(GROUNDS)), ("celestial", 2), ("clouds", 2)]
    + [(f"{side} kind", len(KINDS) + 1) for side in SIDES]
    + [(f"{side} colour", len(COLOURS) + 1) for side in SIDES]
)


def answers(scene: Scene) -> list[int]:
    there = {thing.side: thing for thing in scene.objects}
    kinds = [KINDS.index(there[s].kind) + 1 if s in there else 0 for s in SIDES]
    colours = [list(COLOURS).index(there[s].colour) + 1 if s in there and there[s].colour else 0 for s in SIDES]
    first = [SKIES.index(scene.sky), GROUNDS.index(scene.ground), int(scene.celestial), int(scene.clouds)]
    return first + kinds + colours


def text_encoder_from(state: dict, vocabulary: int):
    encoder = make_text_encoder(vocabulary).eval()
    with torch.no_grad():
        for p, value in zip(encoder.parameters(), state["average"], strict=False):
            p.copy_(value)
    return encoder


def train_text(work: pathlib.Path, *, samples: int, batch: int, device: torch.device, log):
    """Trains to the given number of captions, resuming from WORK/text.pt; writes WORK/tokenizer."""
    torch.manual_seed(11)
    write_tokenizer(work / "tokenizer")
    encode = Encoder(work / "tokenizer")
    encoder = make_text_encoder(len(encode.vocabulary)).to(device).to(torch.bfloat16).train()
    head = torch.nn.Linear(CONTEXT, sum(n for _, n in QUESTIONS)).to(device).to(torch.bfloat16)
    optimiser = Optimiser([encoder, head], weight_decay=0.01, ema_decay=0.995)
    path = work / "text.pt"
    if path.exists():
        optimiser.load_state(torch.load(path, map_location=device, weights_only=True))
    steps = samples // batch
    began = saved = time.time()
    while optimiser.steps < steps:
        step = optimiser.steps
        rng = random.Random(f"text {step}")
        scenes = [training_scene(rng) for _ in range(batch)]
        length = SHORT if step < 0.8 * steps else TOKENS
        ids = torch.tensor([encode(caption(scene, rng), length) for scene in scenes], device=device)
        targets = torch.tensor([answers(scene) for scene in scenes], device=device)
        logits = head(encoder(ids).last_hidden_state.mean(1)).float().split([n for _, n in QUESTIONS], 1)
        losses = torch.stack([functional.cross_entropy(q, targets[:, i]) for i, q in enumerate(logits)])
        losses.sum().backward()
        optimiser.step(learning_rate(step, steps, peak=PEAK, warm_up=100, hold=0.4))
        if (step + 1) % 100 == 0:
            right = torch.stack([(q.argmax(1) == targets[:, i]).float().mean() for i, q in enumerate(logits)])
            told = " ".join(f"{name} {r:.2f}" for (name, _), r in zip(QUESTIONS, right.tolist(), strict=True))
            log(f"text: {step + 1}/{steps} {time.time() - began:.0f} s loss {losses.sum().item():.3f} right: {told}")
        if time.time() - saved > 120:
            save_checkpoint(path, optimiser.state())
            saved = time.time()
    save_checkpoint(path, optimiser.state())
