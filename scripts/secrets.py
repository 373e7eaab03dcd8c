"""Looks for secrets in what git keeps: `python -m scripts.secrets`; 1 where it finds one, with file and line.

Keys by how their issuers write them, private keys, passwords in addresses, and long random words that are given to a
name like `password`. What is one for a test or an example is made of words, or marked with ``not a secret``.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

#: What a line has that nobody writes but a secret.
KINDS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{60,}"),
    "token of GitLab": re.compile(r"\bglpat-[\w-]{20,}"),
    "token of Slack": re.compile(r"\bxox[abpr]-[\w-]{10,}"),
    "key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "token of PyPI": re.compile(r"\bpypi-AgEI[\w-]{50,}"),
    "web token": re.compile(r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{20,}"),
    "password in an address": re.compile(r"\b\w+://[^/\s:@\"'{}<>$]+:[^/\s:@\"'{}<>$]{6,}@(?!localhost|127\.)"),
    "hash of a password": re.compile(r"\$(?:argon2id?\$v=\d+\$|2[aby]\$\d\d\$)[^\s\"']{30,}"),
}
#: Something long in quotes, given to a name that says what it is.
GIVEN = re.compile(
    r"(?i)\b\w*(?:password|passwd|secret|token|api_?key|private_?key)\w*[\"']?\s*(?::\s*\w+\s*)?[=:]\s*"
    r"[\"']([^\"'\s]{20,})[\"']"
)
#: Of such a word, less is a sentence or a name. [bit per character]
RANDOM = 3.7
#: What says that a line has none.
MARK = "not a secret"
#: Names of files that are never kept.
FILES = re.compile(r"(?:^|/)(?:\.env|id_(?:rsa|ed25519|ecdsa)|.*\.(?:pem|p12|pfx|key|kdbx)|\.netrc|\.pypirc|secret)$")


def entropy(word: str) -> float:
    """Of a word's characters. [bit]"""
    return -sum(n / len(word) * math.log2(n / len(word)) for n in Counter(word).values())


def found(text: str) -> Iterator[tuple[int, str]]:
    """Lines of a text with a secret, and its kind."""
    for number, line in enumerate(text.splitlines(), 1):
        if MARK in line:
            continue
        kind = next((name for name, pattern in KINDS.items() if pattern.search(line)), None)
        match = GIVEN.search(line)
        if kind is None and match and entropy(match[1]) > RANDOM and re.search(r"\d", match[1]):
            kind = "something random"
        if kind is not None:
            yield number, kind


def kept() -> list[Path]:
    """The files that git keeps, and those that it would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return [Path(name) for name in listed if name and Path(name).is_file()]


def main() -> int:
    count = 0
    for path in kept():
        if FILES.search(path.as_posix()):
            print(f"{path}: a file of this name is not kept")
            count += 1
        try:
            text = path.read_text()
        except (UnicodeDecodeError, OSError):
            continue
        for line, kind in found(text):
            print(f"{path}:{line}: {kind}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
