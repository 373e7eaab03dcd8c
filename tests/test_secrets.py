"""The look for secrets finds what is one, and lets words and names be."""

from __future__ import annotations

import random
import string

import pytest

from scripts import secrets

DRAW = random.Random(7)


def drawn(letters: str, length: int) -> str:
    return "".join(DRAW.choice(letters) for _ in range(length))


WORD = string.ascii_letters + string.digits
#: Drawn here, for a file with a real one would be found.
SECRETS = {
    "private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "key of AWS": f"aws = AKIA{drawn(string.ascii_uppercase, 16)}",
    "token of GitHub": f"ghp_{drawn(WORD, 36)}",
    "token of GitLab": f"glpat-{drawn(WORD, 22)}",
    "password in an address": f"postgresql://muscate:{drawn(WORD, 12)}@db.example.org/x",
    "hash of a password": f"$argon2id$v=19$m=65536,t=3,p=4${drawn(WORD, 22)}${drawn(WORD, 43)}",
    "something random": f'client_secret: str = "{drawn(WORD, 32)}1"',
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_with_its_kind(kind: str) -> None:
    assert list(secrets.found(f"first\n  {SECRETS[kind]}\n")) == [(2, kind)]
    assert list(secrets.found(f"{SECRETS[kind]}  # not a secret\n")) == []


@pytest.mark.parametrize(
    "line",
    [
        'token = "the token was not made here"',
        "postgresql://muscate@localhost/muscate",
        'password = os.environ["MUSCATE_PASSWORD_OF_STORE"]',
        'digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
        'secret_key="a-word-that-says-what-it-is"',
    ],
)
def test_words_and_digests_are_none(line: str) -> None:
    assert list(secrets.found(line)) == []


def test_this_repository_has_none() -> None:
    assert [
        (path, hit)
        for path in secrets.kept()
        if path.suffix in (".py", ".toml", ".md", ".sh")
        for hit in secrets.found(path.read_text())
    ] == []
