"""AdamW with fp32 master weights for networks that compute in bf16, a moving average, and checkpoints to resume from."""

import math
import os
import pathlib
import time

import torch


STALE = 6  # a helper's gradient of weights that are more steps old than this is dropped


class Board:
    """Memory shared by the process that owns the weights (rank 0) and one helper that only makes gradients (rank 1).

    The helper computes at its own pace with the newest weights and leaves its gradient; the owner takes it along with
    its own where one lies there, and never waits. A run with a helper is therefore not repeatable bit for bit.
    """

    def __init__(self, path: pathlib.Path, size: int):
        fields = (("weights", size, torch.float32), ("gradient", size, torch.float32), ("flag", 1, torch.int64), ("steps", 1, torch.int64))
        for name, length, dtype in fields:
            setattr(self, name, torch.from_file(f"{path}.{name}", shared=True, size=length, dtype=dtype))


class Optimiser:
    """Owns fp32 copies of the networks' parameters: the networks compute with bf16 copies, written after each step."""

    def __init__(
        self, networks: list[torch.nn.Module], *, weight_decay: float, ema_decay: float, board: pathlib.Path | None = None
    ):
        self.networks = networks
        self.parameters = [p for network in networks for p in network.parameters()]
        self.master = [p.detach().float().clone().requires_grad_() for p in self.parameters]
        self.average = [p.detach().clone() for p in self.master]
        self.ema_decay = ema_decay
        self.adamw = torch.optim.AdamW(self.master, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
        self.steps = 0
        self.board = Board(board, sum(p.numel() for p in self.master)) if board else None
        self.helped = 0

    def begin(self, path: pathlib.Path, *, helper: bool, log):
        """The helper takes the owner's weights; the owner resumes from its checkpoint, if there is one."""
        if helper:
            return self.take_weights()
        if path.exists():
            self.load_state(torch.load(path, map_location=self.master[0].device, weights_only=True))
            log(f"resumed at step {self.steps}")
        self.publish()

    def help(self):
        """The helper's side: leaves the gradient that lies in the networks, and takes the newest weights."""
        while self.board.flag.item():
            time.sleep(0.002)
        self.board.gradient.copy_(torch.cat([p.grad.float().flatten() for p in self.parameters]))
        self.board.flag.fill_(1 + self.steps)
        self.take_weights()
        for p in self.parameters:
            p.grad = None

    def take_weights(self):
        self.steps = int(self.board.steps.item())
        flat = self.board.weights.split([p.numel() for p in self.parameters])
        self.write([value.view_as(p) for value, p in zip(flat, self.parameters, strict=True)])

    def step(self, learning_rate: float) -> float:
        """One update from the gradients that lie in the networks. Returns the gradients' norm."""
        gradients = [p.grad.float() for p in self.parameters]
        flag = self.board.flag.item() if self.board else 0
        if flag:
            if self.steps - (flag - 1) <= STALE:
                flat = self.board.gradient.split([p.numel() for p in self.parameters])
                gradients = [(g + h.view_as(g)) / 2 for g, h in zip(gradients, flat, strict=True)]
                self.helped += 1
            self.board.flag.zero_()
        for p, gradient in zip(self.master, gradients, strict=True):
            p.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(self.master, 1.0)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        if math.isfinite(norm):
            self.adamw.step()
        self.steps += 1
        with torch.no_grad():
            decay = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.master], 1 - decay)
            self.write(self.master)
            self.publish()
        for p in self.parameters:
            p.grad = None
        return norm.item()

    def write(self, values: list[torch.Tensor]):
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, values)

    def publish(self):
        """The owner's side: the newest weights, for the helper."""
        if self.board:
            self.board.weights.copy_(torch.cat([p.detach().flatten() for p in self.master]))
            self.board.steps.fill_(self.steps)

    def state(self) -> dict:
        return {"steps": self.steps, "master": self.master, "average": self.average, "adamw": self.adamw.state_dict()}

    def load_state(self, state: dict):
        self.steps = state["steps"]
        with torch.no_grad():
            torch._foreach_copy_(self.master, state["master"])
            torch._foreach_copy_(self.average, state["average"])
        self.adamw.load_state_dict(state["adamw"])
        self.write(self.master)


def save_checkpoint(path: pathlib.Path, state: dict):
    """Writes beside the old checkpoint, then replaces it: an interrupted run keeps the old one."""
    partial = path.with_suffix(f".partial{os.getpid()}")
    torch.save(state, partial)
    os.replace(partial, path)


def learning_rate(step: int, steps: int, *, peak: float, warm_up: int, hold: float) -> float:
    """Linear warm-up, the peak for the given part of the run, then half a cosine down to a hundredth."""
    done = step / steps
    fall = 0.0 if done < hold else (done - hold) / (1 - hold)
    return peak * min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))
