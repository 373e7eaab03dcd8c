"""The figures of the code's structure, on a small tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import structure


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("processing/store/migrations", "dashboard", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    many = ", ".join("abcdefgh")
    body = "\n".join(f"    x{n} = {n}" for n in range(60))
    (tmp_path / "processing" / "steps.py").write_text(
        f'def wide({many}):\n    """Told."""\n\n\n'
        f"@kernel(parallel=True)\ndef loops({many}):\n{body}\n\n\n"
        f"@app.command()\ndef command({many}):\n    pass\n\n\n"
        f"class A:\n    def _long(self, {many[:-3]}):\n        def inner():\n            pass\n    {body}\n"
    )
    (tmp_path / "processing" / "store" / "migrations" / "first.py").write_text(f"def upgrade({many}):\n    pass\n")
    (tmp_path / "tests" / "test_steps.py").write_text("pass\n" * 10)
    return tmp_path


def test_kernels_commands_and_migrations_stand_aside(tree: Path) -> None:
    values, named = structure.figures(tree)
    assert values["functions over 7 arguments"] == 1
    assert [line.split(":")[1] for line in named if "arguments" in line] == ["wide"]


def test_public_functions_without_docstring_count(tree: Path) -> None:
    values, _ = structure.figures(tree)
    assert values["public functions with docstring [%]"] == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("functions over 55 lines", 8, False), ("functions over 55 lines", 9, True)]
    + [("test lines / code lines", 0.508, False), ("test lines / code lines", 0.49, True)],
)
def test_a_bar_is_held_both_ways(name: str, value: float, expected: bool) -> None:
    assert structure.missed(name, value) is expected
