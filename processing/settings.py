"""Settings of a centre: one TOML file (`muscate.toml` in the home, or `MUSCATE_CONFIG`) and `MUSCATE_*` variables."""

from __future__ import annotations

import json
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, get_origin

from pydantic import Field, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from processing.people import Role

#: No time of the settings is longer: more than a year. [s]
LONGEST = 1e8


class _Environment(EnvSettingsSource):
    """`MUSCATE_*` variables; a list is JSON or, as people write it, names with commas or spaces between them."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A variable's text as the value of a setting that is no plain one."""
        is_list = get_origin(field.annotation) is list
        try:
            found = json.loads(value)
        except ValueError:
            return _names(value) if is_list else value  # what a setting of another form makes of it says so
        return _names(found) if is_list and isinstance(found, str) else found


def _names(text: str) -> list[str]:
    """What stands between commas, semicolons or spaces; quotes and brackets around them are dropped."""
    return [name for part in re.split(r"[,;\s]+", text.strip().strip("[]()")) if (name := part.strip("'\" "))]


#: What each part of the web asks of whoever opens it: pages, sockets, files, tiles and programs' routes alike.
ACCESS = {
    "status": Role.PUBLIC,  # the public page, its figures, why a date is missing
    "news": Role.PUBLIC,
    "help": Role.PUBLIC,
    "browse": Role.PUBLIC,
    "compare": Role.PUBLIC,
    "products": Role.PUBLIC,  # the page, files, tiles and STAC
    "health": Role.PUBLIC,
    "metrics": Role.PUBLIC,
    "coverage": Role.SCIENTIST,
    "versions": Role.SCIENTIST,
    "quality": Role.SCIENTIST,
    "validation": Role.SCIENTIST,
    "production": Role.OPERATOR,
    "people": Role.ADMIN,
}


class Settings(BaseSettings):
    """Where things lie and how many run at once. The environment wins over the file."""

    model_config = SettingsConfigDict(env_prefix="MUSCATE_", extra="forbid", allow_inf_nan=False)

    home: Path = Field(Path("var"), description="Folder of the store, inbox, archive, state and logs.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the home.")
    executor: str = Field("local", description="`local`, or the address of a dask scheduler (tcp://host:port).")
    host: str = Field("127.0.0.1", description="Address the web listens on.")
    hosts: list[str] = Field(
        default_factory=list, description="Further names under which the web may be spoken to, as behind a proxy."
    )
    port: int = Field(5006, ge=0, le=65535, description="Port of the web.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+)?$",
        description="Address that users know the web by; https makes cookies safe.",
    )
    access: dict[str, Role] = Field(
        default_factory=dict, description="Least role for each part of the web, where it differs from `ACCESS`."
    )
    oidc_issuer: str = Field("", description="OpenID Connect: address of the provider; empty: passwords only.")
    oidc_client_id: str = Field("", description="OpenID Connect: how the provider knows this web.")
    oidc_client_secret: str = Field("", repr=False, description="OpenID Connect: what this web proves itself with.")
    oidc_name_claim: str = Field("preferred_username", description="OpenID Connect: claim with a person's name.")
    oidc_role_claim: str = Field("groups", description="OpenID Connect: claim that says what a person may.")
    oidc_roles: dict[str, Role] = Field(
        default_factory=dict, description="OpenID Connect: role for each value of that claim; the highest counts."
    )
    workers: int = Field(1, ge=1, le=10_000, description="Tiles processed at once on this host.")
    versions: list[str] = Field(default_factory=lambda: ["V1_4"], description="Versions produced for each tile.")
    targets: dict[str, float] = Field(
        default_factory=dict, description="Products a day that a version should reach, a line on the charts."
    )
    dem: Path | None = Field(None, description="Terrain model: a raster or a folder of them, any projection; glo30.")
    scan_seconds: float = Field(5.0, gt=0, le=LONGEST, description="Time between two looks into the inbox.")
    lease_seconds: float = Field(
        120.0, gt=0, le=LONGEST, description="Life of a worker's lease on a chain without renewal."
    )
    attempt_seconds: float = Field(7200.0, gt=0, le=LONGEST, description="Wall-clock limit of one date in the chain.")
    attempt_memory_gb: float = Field(
        16.0, gt=0, description="A date whose chain takes more memory is stopped. [GB] A whole tile takes 2.5."
    )
    attempt_staging_gb: float = Field(
        20.0, gt=0, description="A date that writes more before it is published is stopped. [GB] A whole tile takes 3."
    )
    real_time_share: float = Field(
        0.3, ge=0, lt=1, description="Share of the slots that the reprocessing of the archive leaves to real time."
    )
    min_free_gb: float = Field(2.0, ge=0, description="No date is started with less free space in the archive. [GB]")
    settle_seconds: float = Field(
        0.0, ge=0, le=LONGEST, description="Wait for the other half of a pass before a date is due."
    )
    audit_days: int = Field(
        30, ge=0, le=3650, description="Days in which the nightly audit reads every file of the archive; 0: never."
    )
    log_days: int = Field(400, ge=0, le=36500, description="Days that the logs of attempts are kept; 0: for ever.")
    replay_dates: int = Field(
        3, ge=0, le=10_000, description="A date that comes late has its later ones, if no more, made again."
    )
    readers_act: bool = Field(False, description="A bad verdict on the page may withdraw its product or hold its tile.")
    target_hours: float = Field(24.0, gt=0, description="A date that came is late if it is not over after this. [h]")
    contact: str = Field("", description="Mail or web address that the help names for questions.")
    send_mb_per_second: float = Field(
        100.0,
        ge=0,
        le=1e6,
        description="Products' bytes sent at most, to all users together; 0: all the web can.",
    )
    user_gb_per_day: float = Field(0.0, ge=0, le=1e6, description="Products' bytes a user may take in 24 h; 0: all.")
    alerts: Path | None = Field(None, description="Rules of the alerts; alerts.toml in the home, else those shipped.")
    demonstration: bool = Field(True, description="Fill an empty home with a small simulated archive.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code goes before the environment, this before the home's ``muscate.toml``."""
        home = Path(os.environ.get("MUSCATE_HOME", "var"))
        file = Path(os.environ.get("MUSCATE_CONFIG", home / "muscate.toml"))
        environment = _Environment(settings_cls)
        return init_settings, environment, TomlConfigSettingsSource(settings_cls, file)

    @field_validator("versions", "hosts", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """In the file too one name may stand for a list of one."""
        return _names(given) if isinstance(given, str) else given

    @field_validator("versions")
    @classmethod
    def _some(cls, given: list[str]) -> list[str]:
        if not given:
            raise ValueError("no version is named")
        return list(dict.fromkeys(given))

    @field_validator("executor")
    @classmethod
    def _address(cls, given: str) -> str:
        if given != "local" and not re.fullmatch(r"(tcp|tls|ucx|ws|wss|inproc)://\S+", given):
            raise ValueError(f"{given!r} is neither local nor an address, tcp://host:port")
        return given

    @field_validator("access")
    @classmethod
    def _known_parts(cls, given: dict[str, Role]) -> dict[str, Role]:
        if strange := set(given) - set(ACCESS):
            raise ValueError(f"{', '.join(sorted(strange))}: parts of the web are {', '.join(ACCESS)}")
        return given

    @property
    def table(self) -> dict[str, Role]:
        """The least role for each part of the web."""
        return ACCESS | self.access

    @cached_property
    def url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{(self.home / 'muscate.db').resolve()}"

    @property
    def inbox(self) -> Path:
        """Drop box for Level-1C packages."""
        return self.home / "inbox"

    @property
    def rejected(self) -> Path:
        """Packages that were set aside, each with its reason."""
        return self.inbox / "rejected"

    @property
    def l1c(self) -> Path:
        """Level-1C packages that were taken in."""
        return self.home / "l1c"

    @property
    def archive(self) -> Path:
        """Products."""
        return self.home / "archive"

    @property
    def masks(self) -> Path:
        """Masks made by hand."""
        return self.home / "masks"

    @property
    def state(self) -> Path:
        """Recurrent states."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """Logs of the attempts."""
        return self.home / "logs"

    def make_folders(self) -> None:
        """Create the home's folders where missing."""
        for folder in (self.rejected, self.l1c, self.archive, self.masks, self.state, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
