"""Cookies of a request, read as RFC 6265, 5.4 writes them: plain pairs.

The standard library's parser takes a value in quotes apart escape by escape, in a time that grows with the square of
its length (CVE-2024-7592): a head of 60 kB held a core for six seconds. None of ours has a quote in it.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import Scope

#: Pairs that are looked at: a browser keeps some dozens of a host.
MOST = 200


def read(header: str) -> dict[str, str]:
    """Values by their names, as they were sent; of those with one name the last."""
    pairs = (one.partition("=") for one in header.split(";", MOST)[:MOST])
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def kept(scope: Scope, header: str, names: Collection[str]) -> Scope:
    """The same request with those of its cookies alone that have one of some names, and a plain value."""
    there = [(name, value) for name, value in read(header).items() if name in names and '"' not in value]
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"cookie"]
    if there:
        headers.append((b"cookie", "; ".join(f"{name}={value}" for name, value in there).encode("latin-1")))
    return {**scope, "headers": headers}
