"""What the manifest of a product promises of its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from processing.errors import ProductError


def damage(folder: Path) -> list[str]:
    """Files that are missing or differ from the manifest, each with its fault; empty if the product is sound.

    Raises
    ------
    ProductError
        If there is no manifest that can be read.
    """
    manifest = folder / "manifest.json"
    try:
        files = json.loads(manifest.read_bytes())["files"]
        expected = {name: (entry["size"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        raise ProductError(folder, "has no manifest") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProductError(folder, f"the manifest can't be read: {error}") from error
    faults = []
    for name, (size, digest) in expected.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                length = file.tell()
        except OSError as error:
            faults.append(f"{name}: {error.strerror}")
            continue
        if length != size:
            faults.append(f"{name}: {length} bytes instead of {size}")
        elif found != digest:
            faults.append(f"{name}: content differs from the manifest")
    return faults
