"""A search kept for ever: as a list that can be cited, and as a script that needs nothing but a shell.

The list names each product with the sha256 of its manifest, which has those of its files; the digest over all of them
is what a paper may cite. The same products give the same digest, whenever and wherever the list is made.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processing.distribution.client import Product
from processing.errors import InputError

#: Number of the list's form.
FORM = 1


def frozen(products: Iterable[Product], search: str) -> dict[str, Any]:
    """The list of some products; `search` is what they were found by."""
    listed = [
        {"id": product.identifier, "sha256": sum_of(product), "files": product.files}
        for product in sorted(products, key=lambda one: one.identifier)
    ]
    return {
        "type": "muscate-list",
        "form": FORM,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "search": search,
        "products": listed,
        "digest": digest(listed),
    }


def sum_of(product: Product) -> str:
    """A sum over the names, sizes and sums of a product's files."""
    lines = [f"{file['sha256']} {file['size']} {name}" for name, file in sorted(product.files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest(listed: Iterable[Mapping[str, Any]]) -> str:
    """Of the names and sums of all products, in the order of their names."""
    lines = sorted(f"{one['sha256']} {one['id']}" for one in listed)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest_of(products: Iterable[Product]) -> str:
    """The digest of the list of some products."""
    return digest({"id": product.identifier, "sha256": sum_of(product)} for product in products)


def read(path: Path) -> list[Product]:
    """The products of a list.

    Raises
    ------
    InputError
        If it is none, or was changed since it was made.
    """
    try:
        kept = json.loads(path.read_bytes())
        if kept["type"] != "muscate-list" or kept["form"] != FORM:
            raise InputError(path, f"is no list of form {FORM}")
        products = [Product(one["id"], one["files"]) for one in kept["products"]]
        said = [{"id": one.identifier, "sha256": sum_of(one)} for one in products]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(path, f"is no list of products: {fault}") from fault
    if digest(said) != kept["digest"]:
        raise InputError(path, "its products are not those of its digest")
    return products


def script(products: Iterable[Product], search: str) -> str:
    """A script for any POSIX shell with curl and sha256sum: goes on where it was, and checks what it has."""
    lines = [
        "#!/bin/sh",
        "# Products of a muscate centre. Run it again to go on, or to check: what is whole is not brought again.",
        f"# {' '.join(search.split())}",
        "set -u",
        "failed=0",
        "get() {  # sum name address",
        '  mkdir -p "$(dirname "$2")"',
        '  if [ -f "$2" ] && { [ -z "$1" ] || echo "$1  $2" | sha256sum -c --status; }; then return; fi',
        '  curl -fsSL --retry 5 -C - -o "$2.part" "$3" || { echo "failed: $2" >&2; failed=1; return; }',
        '  if [ -n "$1" ] && ! echo "$1  $2.part" | sha256sum -c --status; then',
        '    rm -f "$2.part"; echo "corrupt: $2" >&2; failed=1; return',
        "  fi",
        '  mv "$2.part" "$2"',
        "}",
    ]
    for product in products:
        for name, file in product.files.items():
            words = (file["sha256"] or "", f"{product.identifier}/{name}", file["href"])
            lines.append("get " + " ".join(shlex.quote(word) for word in words))
    return "\n".join([*lines, "exit $failed", ""])
