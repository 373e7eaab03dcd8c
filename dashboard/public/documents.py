"""What the public pages say, as JSON: times in ISO 8601, spans in seconds, names of states as in the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dashboard import languages
from dashboard.public import reasons
from dashboard.public.words import Words
from processing.store.standing import Delays, SiteStanding, Standing, TileStanding
from processing.store.whereabouts import Day
from processing.versions import VERSIONS

if TYPE_CHECKING:
    from processing.settings import Settings


def plain(value: Any) -> Any:
    """A value of JSON."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return round(value.total_seconds())
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            return value


def centre(now: Standing, settings: Settings, fault: str = "") -> dict[str, Any]:
    """The whole centre."""
    return {
        "taken": plain(now.taken),
        "state": now.state,
        "store": "unreachable" if fault else "ok",
        "target": {"seconds": round(settings.target_hours * 3600), "products_per_day": settings.targets},
        "rate": {
            "last_24_hours": now.last_day,
            "per_day": [{"day": day.isoformat(), "products": count} for day, count in now.per_day],
        },
        "delay_seconds": delays(now.delays),
        "open": dict(now.open),
        "held": [reasons.of(reason).original or reason for reason in now.held],
        "products": now.products,
        "newest_product": plain(now.newest),
        "newest_arrival": plain(now.arrived),
        "simulated": now.simulated,
        "versions": {
            version.name: {
                "products": now.versions.get(version.name, 0),
                "released": plain(version.released),
                "summary": version.summary,
                "known_defect": version.known_defect,
            }
            for version in VERSIONS.values()
        },
        "sites": [site(one) for one in now.sites],
        "tiles": {
            name: {"state": one.state, "latest": plain(one.latest), "delay_now_seconds": plain(one.delay_now)}
            for name, one in now.tiles.items()
        },
    }


def delays(found: Delays | None) -> dict[str, int] | None:
    """Delays as half and nine in ten have them."""
    return {"typical": plain(found.typical), "long": plain(found.long)} if found else None


def site(one: SiteStanding) -> dict[str, Any]:
    """A site."""
    return {
        "code": one.code,
        "name": one.name,
        "country": one.country,
        "state": one.state,
        "latest": plain(one.latest),
        "delay_now_seconds": plain(one.delay_now),
        "delay_seconds": delays(one.delays),
        "states": dict(one.states),
        "tiles": list(one.tiles),
    }


def tile(one: TileStanding, taken: datetime) -> dict[str, Any]:
    """A tile."""
    return {
        "taken": plain(taken),
        "tile": one.tile,
        "state": one.state,
        "version": one.version,
        "latest": plain(one.latest),
        "published": plain(one.published),
        "product": one.product,
        "delay_now_seconds": plain(one.delay_now),
        "delay_seconds": delays(one.delays),
        "waiting": [
            {
                "sensing": plain(waiting.sensing),
                "since": plain(waiting.created),
                "state": waiting.state,
                "reason": public_reason(waiting.reason),
            }
            for waiting in one.waiting
        ],
        "missing": [plain(asdict(passage)) for passage in one.missing],
        "following": one.following and plain(asdict(one.following)),
    }


def day(one: Day) -> dict[str, Any]:
    """A tile on a day, and the same in words."""
    told: dict[str, Any] = plain(asdict(one))
    for passage in told["passes"]:
        passage["reason"] = public_reason(passage["reason"])
        for made in passage["made"]:
            made["reason"] = public_reason(made["reason"], made["reason_class"])
            if made["blocker"]:
                made["blocker"]["reason"] = public_reason(made["blocker"]["reason"])
    return told | {"words": {code: Words(code).label(one) for code in languages.LANGUAGES}}


def public_reason(text: str, reason_class: str = "") -> str:
    """A reason of the store in English, without folders of the centre."""
    found = reasons.of(text, reason_class)
    return found.original or (found.message % {"number": found.number} if text else "")


def bulletin(one: Any) -> dict[str, Any]:
    """Something that the team says."""
    names = ("uid", "kind", "grade", "stage", "title", "text", "language", "starts", "ends", "sites")
    return {name: plain(getattr(one, name)) for name in names}
