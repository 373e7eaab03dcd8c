"""Sources by the names that users give them: ``cdse``, ``stac:https://...``, ``mirror:/data/L1C``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from processing.errors import WrongSetting
from processing.sources import odata, s3, stac, tree
from processing.sources.account import Account, credentials
from processing.sources.fetching import CONNECTIONS, Origin
from processing.sources.odata import OData

#: What an account of the Copernicus Data Space may have in 30 days. [bytes]
QUOTA = 12 * 10**12
KNOWN = "cdse, stac[:ADDRESS], s3[:ADDRESS/BUCKET], mirror:FOLDER, eodag:PROVIDER"


def account(tokens: str = odata.TOKENS) -> Account | None:
    """That of the Copernicus Data Space; None where nobody says who asks."""
    if not _has_account("cdse"):
        return None
    return Account(tokens, credentials("cdse"))


def origins(
    names: Sequence[str],
    own: OData | None = None,
    who: Account | None = None,
    connections: int = CONNECTIONS,
    quota: int = QUOTA,
) -> list[Origin]:
    """Sources by their names, the preferred one first.

    Parameters
    ----------
    own : OData, optional
        What ``cdse`` is; the Copernicus Data Space's own without.
    who : Account, optional
        Of the Copernicus Data Space.
    connections : int
        To one source at once.
    quota : int
        That an account may have in 30 days. [bytes]

    Raises
    ------
    WrongSetting
        If a name is none, or a source wants an account that is not named.
    """
    own = own or OData(odata.CATALOGUE, odata.DOWNLOAD)
    return [_origin(name, own, who, connections, quota) for name in names]


def _origin(name: str, own: OData, who: Account | None, connections: int, quota: int) -> Origin:
    kind, _, where = name.partition(":")
    if kind == "cdse" and not where:
        if who is None:
            credentials("cdse")  # says what is missing
        return Origin(own, who, connections, quota)
    if kind == "stac":
        api = stac.Stac(where or stac.ADDRESS, name=_called("stac", where))
        return Origin(api, who, connections, quota, purse="" if where else "cdse")
    if kind == "s3":
        keys = credentials("s3") if _has_account("s3") else None
        address, _, bucket = where.rpartition("/") if where else (s3.ADDRESS, "", s3.BUCKET)
        store = s3.S3(address, bucket, keys, name=_called("s3", where))
        return Origin(store, None, connections, quota, purse="" if where else "cdse")  # one quota for all its ways in
    if kind == "mirror" and where:
        return Origin(tree.Tree(Path(where), _called("mirror", where)), None, connections)
    if kind == "eodag" and where:
        from processing.sources import eodag

        return Origin(eodag.Eodag(where), who, connections, quota)
    raise WrongSetting(f"{name!r} is no source: known are {KNOWN}")


def _has_account(name: str) -> bool:
    return any(os.environ.get(f"MUSCATE_{name.upper()}_{part}") for part in ("USER", "FILE"))


def _called(kind: str, where: str) -> str:
    """A source's name in the ledgers: of its kind and what tells it from others."""
    plain = "".join(c if c.isalnum() else "-" for c in where.partition("://")[2] or where).strip("-").lower()
    return f"{kind}-{plain}"[:80] if plain else kind
