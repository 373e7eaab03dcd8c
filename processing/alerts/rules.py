"""The rules of a centre's alerts, from a TOML file: ``alerts.toml`` in the home, else that which ships with the data.

A file that can't be used is refused whole, in one line that names what is wrong in it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from processing.errors import BadRules
from processing.resources import DATA
from processing.settings import Settings

#: The file that ships with the data: its rules write to the log only.
SHIPPED = DATA / "alerts.toml"

Positive = Annotated[float, Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(text: str) -> str:
    if text.count("@") != 1 or any(c.isspace() or ord(c) < 32 for c in text) or text[0] == "@" or text[-1] == "@":
        raise ValueError(f"{text!r} is no mail address")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"{text!r} is no http address without a password in it")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Log(_Table):
    """To the log of the dispatcher."""

    to: Literal["log"]


class Mail(_Table):
    """By mail, through a server. The password stands in a file of its own."""

    to: Literal["mail"]
    host: str
    port: int = Field(25, gt=0, lt=65536)
    security: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password_file: Path | None = None
    sender: Address
    recipients: list[Address] = Field(min_length=1)

    @model_validator(mode="after")
    def _password_is_hidden(self) -> Mail:
        if self.user and self.security == "none":
            raise ValueError("a password is not sent without starttls or tls")
        return self


class Webhook(_Table):
    """By a request to a web address. With a secret its body is signed: ``X-Muscate-Signature: sha256=...``."""

    to: Literal["webhook"]
    url: Annotated[str, AfterValidator(_url)]
    secret_file: Path | None = None


Sender = Annotated[Log | Mail | Webhook, Field(discriminator="to")]


class Rule(_Table):
    """When somebody is told.

    Attributes
    ----------
    when : str
        ``late``: real-time dates of a site wait for `hours`. ``failures``: a kind of failure has `count` cases, the
        last within `hours`, or packages wait to be admitted. ``lost``: workers were lost `count` times within `hours`.
        ``silent``: no Level-1C was seen for `hours`. ``idle``: nothing was published for `hours` though dates wait.
        ``disk``: less than `free_gb` are free in the archive, or `days` at the rate of the last week.
    sites : list of str
        Codes; none: all.
    senders : list of str
    severity : str
    lasting_minutes : float
        It must have held for so long before somebody is told.
    calm_minutes : float
        It must have gone for so long before it is over.
    repeat_hours : float
        While it holds, it is told again so often.
    silenced_by_maintenance : bool
    """

    when: Literal["late", "failures", "lost", "silent", "idle", "disk"]
    hours: Positive = 12
    count: int = Field(3, ge=1)
    free_gb: Positive | None = None
    days: Positive | None = None
    sites: list[str] = Field(default_factory=list)
    severity: Literal["info", "warning", "error"] = "warning"
    senders: list[str] = Field(default_factory=lambda: ["log"], min_length=1)
    lasting_minutes: float = Field(0, ge=0)
    calm_minutes: float = Field(5, ge=0)
    repeat_hours: Positive = 24
    silenced_by_maintenance: bool = True

    @model_validator(mode="after")
    def _says_how_much(self) -> Rule:
        if self.when == "disk" and self.free_gb is None and self.days is None:
            raise ValueError("a disk needs free_gb or days")
        return self


class Rules(_Table):
    """All of a file: senders and rules by their names. There is always a sender ``log``."""

    senders: dict[str, Sender] = Field(default_factory=dict)
    rules: dict[str, Rule] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _senders_are_there(self) -> Rules:
        self.senders.setdefault("log", Log(to="log"))
        for name, rule in self.rules.items():
            for sender in rule.senders:
                if sender not in self.senders:
                    raise ValueError(f"rules.{name}: there is no sender {sender!r}")
        return self


def path(settings: Settings) -> Path:
    """The file whose rules hold."""
    if settings.alerts is not None:
        return settings.alerts
    own = settings.home / "alerts.toml"
    return own if own.exists() else SHIPPED


def read(file: Path) -> Rules:
    """The rules of a file.

    Raises
    ------
    BadRules
        If it can't be read, is no TOML, or says what no rule says.
    """
    try:
        rules = Rules.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        for sender in rules.senders.values():
            for secret in (getattr(sender, "password_file", None), getattr(sender, "secret_file", None)):
                if secret is not None and not secret.is_file():
                    raise BadRules(file, f"{secret}: there is no such file")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRules(file, f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadRules(file, f"is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise BadRules(file, f"{where}: {words}" if where else words) from None
    return rules
