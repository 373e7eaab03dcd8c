"""What `deploy/` offers can be read by those it is for, and the pool of a batch system is kept at its size."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from processing.cli import app
from processing.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SCRIPTS = sorted((DEPLOY / "hpc").iterdir())
KUBERNETES = DEPLOY / "kubernetes" / "muscate.yaml"


def words(command: str) -> None:
    """That a command line of ours is one."""
    program, *rest = command.split()
    if not program.endswith("muscate"):
        return
    names = {c.callback.__name__ for c in app.registered_commands if c.callback} | {"up", "web"}
    names |= {f"{g.name}" for g in app.registered_groups}
    assert rest[0] in names


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_are_whole(unit: Path, tmp_path: Path) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read(unit)
    assert set(read.sections()) == {"Unit", "Service", "Install"}
    words(read["Service"]["ExecStart"])
    if shutil.which("systemd-analyze"):
        copy = tmp_path / unit.name
        copy.write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", unit.read_text()))
        done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", [*UNITS, *SCRIPTS, DEPLOY / "compose.yaml", KUBERNETES], ids=lambda path: path.name)
def test_settings_that_are_named_exist(file: Path) -> None:
    known = {f"MUSCATE_{name.upper()}" for name in Settings.model_fields} | {"MUSCATE_CONFIG"}
    ours = {"MUSCATE_IMAGE", "MUSCATE_LIFETIME", "MUSCATE_POOL_SECONDS"}
    assert set(re.findall(r"MUSCATE_[A-Z_]+", file.read_text())) <= known | ours


def test_compose_is_whole() -> None:
    read = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = read["services"]
    for name, service in services.items():
        assert "image" in service, name
        words(service.get("command", "x"))
        assert set(service.get("depends_on", {})) <= set(services)
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(read["volumes"])
    assert services["scheduler"]["environment"]["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] == "0"


def test_kubernetes_is_whole() -> None:
    """What is named is there: settings, claims, the labels of services, commands; no worker has another program."""
    read = list(yaml.safe_load_all(KUBERNETES.read_text()))
    names = {(one["kind"], one["metadata"]["name"]) for one in read}
    assert len(names) == len(read)
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in read if one["kind"] in ("Deployment", "Job")}
    labels = [pod["metadata"]["labels"] for pod in pods.values() if "metadata" in pod]
    for one in read:
        if one["kind"] == "Service":
            assert one["spec"]["selector"] in labels
        if one["kind"] == "Deployment":
            assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    for pod in pods.values():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"].get("volumes", [])}
        assert {("PersistentVolumeClaim", name) for name in claims} <= names
        for container in pod["spec"]["containers"]:
            words(" ".join(container["command"]))
            assert container["image"] == "muscate"
            assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes
            sources = {source["configMapRef"]["name"] for source in container.get("envFrom", [])}
            assert {("ConfigMap", name) for name in sources} <= names
    probes = [c["readinessProbe"] for pod in pods.values() for c in pod["spec"]["containers"] if "readinessProbe" in c]
    for probe in (probe["httpGet"] for probe in probes if "httpGet" in probe):
        assert {"name": "Host", "value": "localhost"} in probe["httpHeaders"]  # else the door refuses the pod's address
    (scheduler,) = pods["muscate-scheduler"]["spec"]["containers"]
    assert {"name": "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "value": "0"} in scheduler["env"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("system", ["slurm", "pbs"])
@pytest.mark.parametrize(("there", "submitted"), [(0, 3), (2, 1), (3, 0), (5, 0), (None, 0)])
def test_the_pool_is_kept_at_its_size(tmp_path: Path, system: str, there: int | None, submitted: int) -> None:
    """With stand-ins for the batch system, that of None being out of order after its first answer."""
    tools = {"squeue": "sbatch", "qselect": "qsub"}
    for asks, submits in tools.items():
        lines = "\n".join(["echo job"] * (there or 0)) or ":"
        if there is None:
            lines = f"[ -e {tmp_path}/asked ] && exit 1; touch {tmp_path}/asked"
        (tmp_path / asks).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / submits).write_text(f'#!/bin/bash\necho "${{@: -1}}" >> {tmp_path}/submitted\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MUSCATE_POOL_SECONDS": "0"}
    command = ["bash", str(DEPLOY / "hpc" / "pool.sh"), "3", system]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = tmp_path / "submitted"
    names = told.read_text().split() if told.exists() else []
    assert len(names) == submitted
    assert set(names) <= {str(DEPLOY / "hpc" / f"worker.{system}")}


@pytest.mark.parametrize("script", ["worker.slurm", "worker.pbs"])
def test_a_worker_of_a_batch_system_is_asked_to_end(tmp_path: Path, script: str) -> None:
    worker = tmp_path / "muscate"
    worker.write_text(
        f"#!/bin/bash\ntrap 'echo asked > {tmp_path}/end; exit 0' TERM\necho $1 $MUSCATE_WORKERS > {tmp_path}/began\n"
        "for n in $(seq 200); do sleep 0.1; done\n"
    )
    worker.chmod(0o755)
    environment = os.environ | {
        "MUSCATE": str(worker),
        "MUSCATE_HOME": "x",
        "MUSCATE_EXECUTOR": "tcp://x:1",
        "MUSCATE_LIFETIME": "1",
    }
    process = subprocess.Popen(["bash", str(DEPLOY / "hpc" / script)], env=environment)
    while not (tmp_path / "began").exists() or not (tmp_path / "began").read_text():
        assert process.poll() is None
    assert (tmp_path / "began").read_text() == "worker 1\n"
    if script == "worker.slurm":
        process.terminate()  # as B:TERM@600 does
    assert process.wait(20) == 0
    assert (tmp_path / "end").read_text() == "asked\n"


def test_a_worker_without_a_home_says_so() -> None:
    command = ["bash", str(DEPLOY / "hpc" / "worker.slurm")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "MUSCATE_HOME" in done.stderr
