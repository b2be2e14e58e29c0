#!/usr/bin/env python3
"""diffusers on a GPU, as measure.py measures the tool: eager, and by torch.compile in its best mode.

usage: peers.py steps --results FILE.json --go FILE --ready FILE [--no-compile]
           compiles, makes the file `ready`, waits for the file `go`, and then measures; --no-compile: at once
       peers.py picture MODEL OUT.png    one picture of 20 steps, the whole process being what is measured

Networks are random, of the published configs (scripts/goldens/published.py). A step is one U-Net call of two rows,
guidance, and an Euler step, many in a row without waiting in between, as ours are.
"""

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "goldens"))


def add(path: pathlib.Path, name: str, value):
    values = json.loads(path.read_text()) if path.exists() else {}
    values[name] = value
    path.write_text(json.dumps(values, indent=1))
    print(name, value, flush=True)


def seconds_of(work, calls: int) -> float:
    """Of one call, the best of three rounds."""
    import torch

    rounds = []
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        rounds.append((time.perf_counter() - start) / calls)
    return min(rounds)


class Stepper:
    """A step of a U-Net with guidance."""

    def __init__(self, config: dict, pictures: int, side: int):
        import torch
        from diffusers import UNet2DConditionModel

        with torch.device("cuda"):
            torch.set_default_dtype(torch.float16)
            unet = UNet2DConditionModel.from_config(config)
            torch.set_default_dtype(torch.float32)
        self.unet = unet.eval().to("cuda", torch.float16, memory_format=torch.channels_last)
        rows = 2 * pictures
        half = {"device": "cuda", "dtype": torch.float16}
        self.x = torch.randn(pictures, 4, side, side, **half)
        self.context = torch.randn(rows, 77, config["cross_attention_dim"], **half)
        self.added = None
        if config.get("addition_embed_type") == "text_time":
            self.added = {"text_embeds": torch.randn(rows, 1280, **half), "time_ids": torch.randn(rows, 6, **half)}
        self.timestep = torch.tensor(500, device="cuda")

    def __call__(self):
        import torch

        both = torch.cat([self.x, self.x])
        eps = self.unet(both, self.timestep, self.context, added_cond_kwargs=self.added, return_dict=False)[0]
        away, to = eps.chunk(2)
        return self.x + (away + 7.5 * (to - away)) * -0.1


def product_rate() -> float:
    import torch

    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
    a @ b
    return 2 * 8192**3 / seconds_of(lambda: a @ b, 20) / 1e12


def measure_vae(results: pathlib.Path, config: dict, name: str, side: int, dtype):
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_config(config).eval().to("cuda", dtype, memory_format=torch.channels_last)
    latent = torch.randn(1, 4, side, side, device="cuda", dtype=dtype)
    vae.decode(latent)
    add(results, name, {"seconds": seconds_of(lambda: vae.decode(latent), 5)})


def steps(given):
    import torch
    from published import SD1_UNET, SD1_VAE, SDXL_UNET

    torch.set_grad_enabled(False)
    step = Stepper(SD1_UNET, 1, 64)
    eager = step.unet
    compiled, compile_s = None, None
    if not given.no_compile:
        try:
            start = time.perf_counter()
            compiled = torch.compile(eager, mode="max-autotune", fullgraph=True)
            step.unet = compiled
            for _ in range(4):
                step()
            torch.cuda.synchronize()
            compile_s = time.perf_counter() - start
        except Exception as error:
            compiled = None
            add(given.results, "diffusers torch.compile max-autotune, sd1", {"failed": f"{error}"[:600]})
    given.ready.touch()
    while given.go and not given.go.exists():
        time.sleep(0.2)

    add(given.results, "device", torch.cuda.get_device_name())
    add(given.results, "torch", torch.__version__)
    add(given.results, "product fp16", {"tflop_per_s": round(product_rate())})
    if compiled is not None:
        step.unet = compiled
        step()
        add(given.results, "diffusers torch.compile max-autotune, sd1",
            {"step_s": seconds_of(step, 50), "compiled_in_s": compile_s})
    step.unet = eager
    step()
    add(given.results, "diffusers eager, sd1", {"step_s": seconds_of(step, 30)})
    del step, compiled
    batch = Stepper(SD1_UNET, 16, 64)
    batch.unet = eager
    batch()
    at_once = seconds_of(batch, 3)
    measure_vae(given.results, SD1_VAE, "diffusers eager VAE decode fp16, sd1", 64, torch.float16)
    vae_s = json.loads(given.results.read_text())["diffusers eager VAE decode fp16, sd1"]["seconds"]
    add(given.results, "diffusers eager batch of 16, sd1",
        {"pictures_per_s": 16 / (20 * at_once + 16 * vae_s), "step_of_batch_s": at_once})
    del batch, eager
    torch.cuda.empty_cache()
    xl = Stepper(SDXL_UNET, 1, 128)
    xl()
    add(given.results, "diffusers eager, sdxl", {"step_s": seconds_of(xl, 10)})


def picture(model: str, out: str):
    import torch
    from diffusers import DiffusionPipeline, EulerDiscreteScheduler

    pipeline = DiffusionPipeline.from_pretrained(model, torch_dtype=torch.float16, local_files_only=True).to("cuda")
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline("a lake", num_inference_steps=20).images[0].save(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    stepping = commands.add_parser("steps")
    stepping.add_argument("--results", required=True, type=pathlib.Path)
    stepping.add_argument("--go", type=pathlib.Path)
    stepping.add_argument("--ready", required=True, type=pathlib.Path)
    stepping.add_argument("--no-compile", action="store_true")
    one = commands.add_parser("picture")
    one.add_argument("model")
    one.add_argument("out")
    given = parser.parse_args()
    if given.command == "steps":
        steps(given)
    else:
        picture(given.model, given.out)


if __name__ == "__main__":
    main()
