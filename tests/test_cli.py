"""The command line: exit codes, one clear line for each fault, JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from processing import product
from processing.cli import app


def muscate(*words: str | Path, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    where = ["--home", str(home)] if home else []
    command = [sys.executable, "-m", "dashboard", *map(str, words), *where]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    "up process ingest watch dispatch worker web status explain explain-pixel logs audit".split()
    + "retry replay hold release reject download sync fetch simulate warmup".split(),
)
def test_help_documents_each_command(command: str) -> None:
    done = muscate(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def commands(package: str) -> list[str]:
    """Names in the order of the help."""
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True, check=True)
    _, _, told = done.stdout.partition("Commands")
    return [found[1] for line in told.splitlines() if (found := re.match(r"[│|] (\S+)  ", line))]


def test_processing_alone_has_all_but_the_web() -> None:
    whole = commands("dashboard")
    assert whole[:8] == "up process ingest watch dispatch worker web status".split()
    assert {"campaign", "db", "validate", "quality", "mask", "bench", "user", "logs", "alerts"} <= set(whole)
    assert commands("processing") == [name for name in whole if name not in ("up", "web", "catalog")]


def test_commands_of_the_centre_start_without_the_web() -> None:
    """Nor with its limits: the parts of a centre are started through `muscate`, too."""
    code = "import dashboard.cli, os, sys; print('panel' in sys.modules, 'GDAL_CACHEMAX' in os.environ)"
    environment = {name: value for name, value in os.environ.items() if name != "GDAL_CACHEMAX"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("version", "reason"), [("V9_9", "is not a version"), ("V1_0", "retired"), ("V1_2", "is not a version")]
)
def test_version_that_is_not_produced_is_wrong_use(version: str, reason: str, tmp_path: Path) -> None:
    done = muscate("process", "x.SAFE", "--version", version, "--out", tmp_path)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())


def test_unwritable_output_fails_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = muscate("process", "x.SAFE", "--out", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Not a directory" in done.stderr


@pytest.fixture
def packages(t33twm_small: Path) -> list[Path]:
    return sorted(t33twm_small.glob("*.SAFE"), key=lambda p: p.name.split("_")[2])


@pytest.mark.slow
def test_bad_inputs_are_named_and_the_others_go_on(packages: list[Path], tmp_path: Path) -> None:
    truncated = tmp_path / "in" / packages[1].name
    shutil.copytree(packages[1], truncated)
    image = next(truncated.rglob("*_B04.jp2"))
    image.write_bytes(image.read_bytes()[:-2000])
    missing = tmp_path / "in" / packages[2].name
    shutil.copytree(packages[2], missing)
    next(missing.rglob("*_B8A.jp2")).unlink()
    bomb = tmp_path / "in" / "S2A_MSIL1C_20230901T095031_N0510_R079_T33TWM_20230901T133204.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.SAFE/MTD_MSIL1C.xml", b"0" * 50_000_000)
    nothing = tmp_path / "in" / "nothing.SAFE"
    out = tmp_path / "out"

    done = muscate("process", truncated, missing, bomb, nothing, packages[3], packages[0], "--out", out, "--json")
    assert done.returncode == 3, done.stderr
    results = {r["l1c"]: r for r in map(json.loads, done.stdout.splitlines())}
    assert len(results) == 6
    assert results[packages[0].name]["status"] == results[packages[3].name]["status"] == "valid"
    assert results[packages[0].name]["mode"] == "backward"
    assert results[packages[3].name]["mode"] == "nominal"
    for path, fault in ((truncated, "B04"), (missing, "B8A"), (bomb, "times its size"), (nothing, "")):
        result = results[path.name]
        assert result["status"] == "rejected"
        assert result["product"] is None
        assert fault in result["reason"]
        assert "\n" not in result["reason"]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        Path(results[p.name]["product"]).name for p in (packages[0], packages[3])
    )


@pytest.mark.slow
def test_state_carries_the_past_from_run_to_run(packages: list[Path], tmp_path: Path) -> None:
    """One run over two dates and two runs over one date each make the same pixels; a late date changes none."""
    first = muscate("process", packages[1], "--out", tmp_path / "one", "--state", tmp_path / "one_state")
    assert first.returncode == 0, first.stderr
    shutil.copytree(tmp_path / "one_state", tmp_path / "two_state")
    for packed, name in ((packages[2:5:2], "one"), (packages[2:3], "two"), (packages[4:5], "two")):
        done = muscate("process", *packed, "--out", tmp_path / name, "--state", tmp_path / f"{name}_state", "--json")
        assert done.returncode == 0, done.stderr
        assert {json.loads(line)["mode"] for line in done.stdout.splitlines()} == {"nominal"}
    one = {p.name: p.read_bytes() for p in (tmp_path / "one").rglob("*.tif")}
    two = {p.name: p.read_bytes() for p in (tmp_path / "two").rglob("*.tif")}
    assert two
    assert two.items() <= one.items()

    late = muscate("process", packages[3], "--out", tmp_path / "one", "--state", tmp_path / "one_state", "--json")
    assert late.returncode == 0, late.stderr
    told = json.loads(late.stdout)
    assert (told["mode"], told["late"]) == ("nominal", True)
    assert one.items() <= {p.name: p.read_bytes() for p in (tmp_path / "one").rglob("*.tif")}.items()
    with_three = muscate("process", *packages[2:4], "--out", tmp_path / "three", "--state", tmp_path / "two_state")
    assert with_three.returncode == 0, with_three.stderr
    name = Path(told["product"]).name
    for raster in (tmp_path / "three" / name).rglob("*.tif"):
        assert (
            raster.read_bytes()
            == (tmp_path / "one" / name / raster.relative_to(tmp_path / "three" / name)).read_bytes()
        )

    again = muscate("process", packages[1], "--out", tmp_path / "one", "--json")
    assert again.returncode == 0  # nothing is wrong with it
    assert json.loads(again.stdout)["status"] == "skipped"
    assert "already there" in json.loads(again.stdout)["reason"]


@pytest.mark.slow
def test_halves_of_a_pass_become_one_product_and_each_is_answered(packages: list[Path], tmp_path: Path) -> None:
    other = tmp_path / packages[1].name.replace("20230813T121538", "20230813T122000")
    shutil.copytree(packages[1], other)
    metadata = next(other.rglob("MTD_TL.xml"))
    text = metadata.read_text()
    assert "_S20230813T100712_N" in text
    metadata.write_text(text.replace("_S20230813T100712_N", "_S20230813T100000_N"))
    done = muscate("process", packages[1], other, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {r["l1c"] for r in results} == {packages[1].name, other.name}
    assert len({r["product"] for r in results}) == 1


@pytest.mark.slow
def test_product_reads_back_with_plain_rasterio(packages: list[Path], tmp_path: Path) -> None:
    import rasterio

    done = muscate("process", packages[1], "--out", tmp_path, "--json")
    made = Path(json.loads(done.stdout)["product"])
    (band,) = made.glob("*_SRE_B4.tif")
    with rasterio.open(band) as opened:
        values = opened.read(1, masked=True)
    assert (values == product.read(made).reflectance("B4")).all()


def test_ingest_and_status_on_an_empty_home(tmp_path: Path) -> None:
    done = muscate("ingest", tmp_path / "nothing.SAFE", home=tmp_path / "home")
    assert done.returncode == 3
    assert "nothing.SAFE" in done.stdout
    assert muscate("status", "--json", home=tmp_path / "home").returncode == 0
    assert muscate("audit", home=tmp_path / "home").returncode == 0
    unknown = muscate("explain", "S2A_nothing", home=tmp_path / "home")
    assert unknown.returncode == 1
    assert len(unknown.stderr.splitlines()) == 1


def test_people_are_made_known_and_forgotten(tmp_path: Path) -> None:
    def user(*words: str, given: str = "", code: int = 0) -> str:
        done = CliRunner().invoke(app, ["user", *words, "--home", str(tmp_path)], input=given)
        assert done.exit_code == code, done.output
        return done.output

    user("list", code=1)  # there is no centre yet
    assert "anna may sign in as scientist" in user(
        "add", "anna", "--role", "scientist", "--stdin", given="correct horse battery\n"
    )
    assert json.loads(user("list", "--json")) == [{"name": "anna", "role": "scientist", "by": "password"}]
    assert "anna is operator" in user("role", "anna", "operator")
    user("role", "anna", "king", code=2)
    user("role", "ben", "operator", code=1)
    user("add", "ben", "--role", "public", "--stdin", given="short\n", code=1)
    assert "another password" in user("password", "anna", "--stdin", given="another horse battery\n")
    assert "no session holds" in user("sessions")
    assert "anna: 0 ended" in user("revoke", "anna")
    assert "no more" in user("remove", "anna")
    assert "nobody yet" in user("list")
