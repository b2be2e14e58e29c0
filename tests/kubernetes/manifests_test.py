#!/usr/bin/env python3
"""Holds scripts/kubernetes: the manifests are YAML of the right fields, agree with one another and with the program.

usage: manifests_test.py SDTORCH    exits with 77 where Python has no yaml
Where kubectl is installed, it also reads them as the types that it knows, and none of their fields may get lost.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "scripts" / "kubernetes"
SKIPPED = 77

try:
    import yaml
except ImportError:
    print("skipped: Python has no yaml")
    sys.exit(SKIPPED)


def read(name: str) -> dict:
    documents = list(yaml.safe_load_all((FOLDER / name).read_text()))
    assert len(documents) == 1, f"{name}: {len(documents)} documents"
    return documents[0]


def container_of(job: dict) -> dict:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


def check_pod(job: dict, claim: str) -> None:
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "podFailurePolicy asks for it"
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    (volume,) = pod["volumes"]
    (mount,) = container_of(job)["volumeMounts"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    assert volume["name"] == mount["name"] and mount["mountPath"] == "/data"


def check_draw(job: dict) -> None:
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    environment = {entry["name"]: entry["value"] for entry in container_of(job)["env"]}
    assert spec["completions"] == int(environment["SDTORCH_SHARDS"]) >= spec["parallelism"]
    assert isinstance(environment["SDTORCH_SHARDS"], str), "variables are text"
    assert spec["backoffLimitPerIndex"] >= 1 and "backoffLimit" not in spec
    actions = {}
    for rule in spec["podFailurePolicy"]["rules"]:
        if "onExitCodes" not in rule:
            continue
        assert rule["onExitCodes"]["containerName"] == container_of(job)["name"]
        assert rule["onExitCodes"]["operator"] == "In"
        actions |= {code: rule["action"] for code in rule["onExitCodes"]["values"]}
    assert actions == {2: "FailIndex", 4: "FailIndex", 5: "FailIndex", 143: "Ignore"}
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    assert "--shard=auto" in container_of(job)["args"]
    assert f"--threads={container_of(job)['resources']['requests']['cpu']}" in container_of(job)["args"]


def check_flags(help_text: str, container: dict) -> None:
    for argument in container["args"]:
        flag = argument.partition("=")[0]
        if flag.startswith("--"):
            assert re.search(rf"(^|[\s,]){re.escape(flag)}\b", help_text), f"sdtorch knows no {flag}"


def check_containerfile() -> None:
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    stages = [line.split()[1:] for line in lines if line.startswith("FROM ")]
    names = [stage[2] for stage in stages if len(stage) == 3]
    assert len(stages) == 2 and all("debian:bookworm-slim" in stage[0] for stage in stages)
    assert "-DSDTORCH_INSTALL_LIBRARIES=ON" in "\n".join(lines), "a CUDA build would leave its libraries behind"
    copied = re.findall(r"^COPY --from=(\S+)", "\n".join(lines), re.MULTILINE)
    assert copied == names
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    job = read("job.yaml")
    assert users == [str(job["spec"]["template"]["spec"]["securityContext"]["runAsUser"])]
    for script in re.findall(r"\bscripts/\S+", "\n".join(line for line in lines if line.startswith("RUN "))):
        assert (ROOT / script).exists(), script


def lost_fields(before, after, path: str = "") -> list[str]:
    """What is in `before` and not in `after`."""
    if isinstance(before, dict):
        return [field for key, value in before.items()
                for field in (lost_fields(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}"])]
    if isinstance(before, list):
        return [field for i, value in enumerate(before) for field in lost_fields(value, after[i], f"{path}[{i}]")]
    return [] if before == after else [f"{path}: {before} became {after}"]


def check_by_kubectl(name: str) -> None:
    done = subprocess.run(["kubectl", "label", "--local", "--filename", str(FOLDER / name), "checked=yes", "--output",
                           "json"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lost = lost_fields(read(name), json.loads(done.stdout))
    assert not lost, f"{name}: {lost}"


def main() -> int:
    sdtorch = sys.argv[1]
    draw, verify, data = read("job.yaml"), read("verify.yaml"), read("data.yaml")
    for job in (draw, verify):
        assert job["apiVersion"] == "batch/v1" and job["kind"] == "Job"
        check_pod(job, data["metadata"]["name"])
    check_draw(draw)
    prompts = next(argument for argument in container_of(draw)["args"] if argument.startswith("--from-file="))
    assert prompts in container_of(verify)["args"]
    assert container_of(draw)["image"] == container_of(verify)["image"]
    assert "--outdir=" + container_of(verify)["args"][1] in container_of(draw)["args"]
    for container, command in ((container_of(draw), []), (container_of(verify), ["verify"])):
        check_flags(subprocess.run([sdtorch, *command, "--help"], text=True, capture_output=True).stdout, container)
    check_containerfile()
    if shutil.which("kubectl"):
        for name in ("job.yaml", "verify.yaml", "data.yaml"):
            check_by_kubectl(name)
        print("kubectl reads every field")
    print("the manifests agree with one another and with the program")
    return 0


if __name__ == "__main__":
    sys.exit(main())
