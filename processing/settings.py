"""Settings of a centre: one TOML file (`muscate.toml` in the home, or `MUSCATE_CONFIG`) and `MUSCATE_*` variables."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime, timedelta
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
#: Before the code of a site whose products ask for more than the others: ``site:toulouse``.
OF_SITE = "site:"


class Settings(BaseSettings):
    """Where things lie and how many run at once. The environment wins over the file."""

    model_config = SettingsConfigDict(env_prefix="MUSCATE_", extra="forbid", allow_inf_nan=False)

    home: Path = Field(Path("var"), description="Folder of the store, inbox, archive, state and logs.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the home.")
    executor: str = Field(
        "local", description="`local`, the address of a dask scheduler (tcp://host:port), or `slurm` or `pbs`."
    )
    batch: dict[str, Any] = Field(
        default_factory=dict,
        description="Of slurm and pbs: options of dask-jobqueue's jobs, as queue, walltime, memory.",
    )
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
        default_factory=dict,
        description="Least role for parts of the web, where it differs from `ACCESS`, and for sites' products.",
    )
    oidc_issuer: str = Field("", description="OpenID Connect: address of the provider; empty: passwords only.")
    oidc_client_id: str = Field("", description="OpenID Connect: how the provider knows this web.")
    oidc_client_secret: str = Field("", repr=False, description="OpenID Connect: what this web proves itself with.")
    oidc_name_claim: str = Field("preferred_username", description="OpenID Connect: claim with a person's name.")
    oidc_role_claim: str = Field("groups", description="OpenID Connect: claim that says what a person may.")
    oidc_roles: dict[str, Role] = Field(
        default_factory=dict, description="OpenID Connect: role for each value of that claim; the highest counts."
    )
    workers: int = Field(
        1, ge=1, le=10_000, description="Tiles processed at once on this host; of slurm and pbs, jobs kept in the pool."
    )
    versions: list[str] = Field(default_factory=lambda: ["V1_4"], description="Versions produced for each tile.")
    targets: dict[str, float] = Field(
        default_factory=dict, description="Products a day that a version should reach, a line on the charts."
    )
    dem: Path | None = Field(None, description="Terrain model: a raster or a folder of them, any projection; glo30.")
    sources: list[str] = Field(
        default_factory=list,
        description="Where a running centre takes Level-1C from, as `fetch --from`, the preferred one first.",
    )
    sources_since: date | None = Field(
        None, description="Of publication: where the first look at the sources begins; else a week before it."
    )
    sources_minutes: float = Field(15.0, gt=0, le=1e5, description="Time between two looks at the sources. [min]")
    scan_seconds: float = Field(5.0, gt=0, le=LONGEST, description="Time between two looks into the inbox.")
    pause_seconds: float = Field(
        60.0, ge=0, le=LONGEST, description="A package in the inbox that lacks something may still be copied so long."
    )
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
    l1c_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="Days that Level-1C is kept after its date was made in all versions; 0: for ever.",
    )
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

    @field_validator("versions", "hosts", "sources", mode="before")
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
        if not re.fullmatch(r"local|slurm|pbs|(tcp|tls|ucx|ws|wss|inproc)://\S+", given):
            raise ValueError(f"{given!r} is neither local, slurm or pbs nor an address, tcp://host:port")
        return given

    @field_validator("access")
    @classmethod
    def _known_parts(cls, given: dict[str, Role]) -> dict[str, Role]:
        if strange := {part for part in given if not part.startswith(OF_SITE)} - set(ACCESS):
            raise ValueError(f"{', '.join(sorted(strange))}: parts of the web are {', '.join(ACCESS)}, {OF_SITE}CODE")
        return given

    @property
    def table(self) -> dict[str, Role]:
        """The least role for each part of the web."""
        return ACCESS | self.access

    def first_published(self) -> datetime:
        """Where the first look at the sources begins, of publication."""
        if self.sources_since is None:
            return datetime.now(UTC) - timedelta(days=7)
        return datetime.combine(self.sources_since, datetime.min.time(), UTC)

    @property
    def sites_access(self) -> dict[str, Role]:
        """The least role for the products of a site, by its code, where they are not everybody's."""
        return {part.removeprefix(OF_SITE): role for part, role in self.access.items() if part.startswith(OF_SITE)}

    @cached_property
    def url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{(self.home / 'muscate.db').resolve()}"

    @property
    def joins(self) -> bool:
        """Whether dates run on a scheduler of its own, which workers of this host may join."""
        return "://" in self.executor

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
    def held(self) -> Path:
        """Level-1C packages that wait until their satellite or baseline is admitted."""
        return self.home / "l1c" / "held"

    @property
    def admitted(self) -> Path:
        """Satellites and baselines that this centre admitted, beside those that ship with the program."""
        return self.home / "admitted"

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
