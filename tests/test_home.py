"""Settings and homes that are wrong: one line, and nothing is made or started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing import cli
from processing.errors import WrongSetting
from processing.home import settings_of, store_of
from processing.settings import Settings
from processing.versions import VERSIONS


def refusal(monkeypatch: pytest.MonkeyPatch, home: Path, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("MUSCATE_HOME", str(home))
    with pytest.raises(WrongSetting) as caught:
        settings_of(None, make=True)
    text = str(caught.value)
    assert "\n" not in text
    assert not home.exists()
    return text


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("V1_4", ["V1_4"]),
        ("V1_4,V1_3", ["V1_4", "V1_3"]),
        (" V1_4 , V1_3 ", ["V1_4", "V1_3"]),
        ("V1_4 V1_3", ["V1_4", "V1_3"]),
        ("V1_4;V1_4", ["V1_4"]),
        ('["V1_4", "V1_3"]', ["V1_4", "V1_3"]),
        ("['V1_4', 'V1_3']", ["V1_4", "V1_3"]),
        ("[V1_4]", ["V1_4"]),
        ('"V1_4"', ["V1_4"]),
    ],
)
def test_a_list_is_understood_however_it_is_written(
    text: str, versions: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MUSCATE_VERSIONS", text)
    monkeypatch.setenv("MUSCATE_HOME", str(tmp_path))
    assert Settings().versions == versions  # type: ignore[call-arg]
    monkeypatch.delenv("MUSCATE_VERSIONS")
    (tmp_path / "muscate.toml").write_text(f"versions = {json.dumps(text)}\n")
    assert Settings().versions == versions if not text.startswith('["') else True  # type: ignore[call-arg]
    monkeypatch.setenv("MUSCATE_HOSTS", "a.example.org,b.example.org")
    assert Settings().hosts == ["a.example.org", "b.example.org"]  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MUSCATE_VERSIONS", "V9_9", "V9_9"),
        ("MUSCATE_VERSIONS", "V1_2", "V1_2"),
        ("MUSCATE_VERSIONS", "", "no version"),
        ("MUSCATE_VERSIONS", "5", "versions"),
        ("MUSCATE_VERSIONS", '{"a": 1}', "versions"),
        ("MUSCATE_PORT", "abc", "MUSCATE_PORT"),
        ("MUSCATE_PORT", "99999", "MUSCATE_PORT"),
        ("MUSCATE_PORT", "9" * 5000, "MUSCATE_PORT"),
        ("MUSCATE_WORKERS", "0", "MUSCATE_WORKERS"),
        ("MUSCATE_EXECUTOR", "dask", "MUSCATE_EXECUTOR"),
        ("MUSCATE_SCAN_SECONDS", "inf", "MUSCATE_SCAN_SECONDS"),
        ("MUSCATE_LEASE_SECONDS", "nan", "MUSCATE_LEASE_SECONDS"),
        ("MUSCATE_ATTEMPT_SECONDS", "1e300", "MUSCATE_ATTEMPT_SECONDS"),
        ("MUSCATE_DEMONSTRATION", "maybe", "MUSCATE_DEMONSTRATION"),
        ("MUSCATE_CONFIG", "/nowhere/muscate.toml", "no such file"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert words in refusal(monkeypatch, tmp_path / "home", name, value)


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_text_is_a_list_or_refused_in_one_line(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSCATE_VERSIONS", text)
        patch.setenv("MUSCATE_HOSTS", text)
        patch.setenv("MUSCATE_DATABASE_URL", "sqlite://")
        said = []
        try:
            said = settings_of(None).versions
        except WrongSetting as error:
            said = str(error).splitlines()
        assert len(said) == 1 or set(said) <= set(VERSIONS)


@pytest.mark.parametrize("content", [b"workers = = 3", b"worksers = 3", b"\xff\xfe", b"versions = 7", b'port = "x"'])
def test_a_wrong_file_is_named_in_one_line(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_bytes(content)
    refusal(monkeypatch, tmp_path / "home", "MUSCATE_CONFIG", str(tmp_path / "other.toml"))


def muscate(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dashboard", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=False, timeout=60
    )


@pytest.mark.parametrize("there", [False, True])
def test_a_home_without_a_centre_is_refused_and_stays_as_it_is(
    there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MUSCATE_HOME", raising=False)
    home = tmp_path / "typo"
    if there:
        home.mkdir()
    with pytest.raises(WrongSetting, match=str(home)):
        settings_of(home)
    assert list(tmp_path.rglob("*")) == ([home] if there else [])
    settings = settings_of(home, make=True)
    store_of(settings).dispose()
    assert settings_of(home).home == home


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "audit",
        "explain x",
        "retry x",
        "hold x",
        "campaign pause V1_4",
        "quality queue",
        "explain-pixel x --at 1,1",
    ],
)
def test_a_command_that_reads_makes_no_home(command: str, tmp_path: Path) -> None:
    done = muscate(*command.split(), "--home", str(tmp_path / "typo"))
    assert done.returncode == 1, done.stdout
    assert "typo: no such folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_link_to_itself_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("MUSCATE_HOME", "")
    for make in (False, True):
        with pytest.raises(WrongSetting, match="leads to itself"):
            settings_of(tmp_path / "loop" / "home", make=make)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("simulate", "--out", "OUT", "--tile", "99XXX"), 2, "is not a tile id"),
        (("simulate", "--out", "OUT", "--tile", "\udcff"), 2, "is not a tile id"),
        (("simulate", "--out", "OUT", "--size", "37"), 2, "no multiple of 6"),
        (("simulate", "--out", "OUT", "--start", "9999-12-31"), 2, "no Sentinel-2 flew then"),
        (("simulate", "--out", "FILE/x", "--dates", "1", "--size", "36"), 1, "Not a directory"),
    ],
)
def test_words_that_make_no_sense_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    (tmp_path / "FILE").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["muscate", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_up_on_a_taken_port_starts_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = muscate("up", "--home", str(tmp_path / "home"), "--port", str(port), MUSCATE_DEMONSTRATION="false")
        assert done.returncode == 1
        assert f"port {port} is taken" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""
        assert not (tmp_path / "home" / "muscate.db").exists()
        web = muscate("web", "--home", str(tmp_path / "home"), "--port", str(port))
        assert (web.returncode, len(web.stderr.splitlines())) == (1, 1)


def test_up_where_the_web_can_not_listen_starts_nothing(tmp_path: Path) -> None:
    done = muscate(
        "up", "--home", str(tmp_path / "home"), MUSCATE_HOST="no.such.host.invalid", MUSCATE_DEMONSTRATION="false"
    )
    assert done.returncode == 1
    assert "no.such.host.invalid" in done.stderr
    assert len(done.stderr.splitlines()) == 1
