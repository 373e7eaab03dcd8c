"""Pages of the reference: one a module, made when the site is built, so that none is forgotten or left over."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGES = ("processing", "dashboard")


def modules() -> list[str]:
    """Dotted names of all modules that are meant to be read, packages before what they hold."""
    names = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not (path.parent / "__init__.py").exists():  # an example to be read, no module
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" in parts or any(part.startswith("_") and part != "__init__" for part in parts):
                continue
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each module, and one that lists them."""
    lines = ["# Reference", "", "Made from the docstrings. Shapes, types and units stand there.", ""]
    for name in modules():
        lines.append(f"{'    ' * name.count('.')}- [`{name.rpartition('.')[2]}`]({name}.md)")
        page = f"---\ntitle: {name}\n---\n\n::: {name}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    files.append(File.generated(config, "reference/index.md", content="\n".join(lines) + "\n"))
    return files
