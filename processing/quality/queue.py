"""Which product to look at next: those that stand out first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session, load_only

from processing.product import names
from processing.store import validations
from processing.store.models import Product, Quality, Verdict

#: What counts as one step out of the ordinary, where the series itself does not vary more: cloud [%], AOT [-] (the
#: accuracy of its estimate), reflectance [-], and disagreement with a comparator (1 - overall accuracy) [-].
CLOUD_STEP, AOT_STEP, REFLECTANCE_STEP, COMPARATOR_STEP = 10.0, 0.05, 0.02, 0.05
#: Two versions see the same image: they should differ by less. [%], [-]
VERSION_CLOUD_STEP, VERSION_AOT_STEP = 5.0, 0.05
#: From so many steps on a reason is named.
NAMED = 2.0
#: How many products a queue holds at most.
NEWEST = 1000
#: Dates of a tile that a date is compared with: so long before and after.
AROUND = timedelta(days=90)
#: What is read of each product.
COLUMNS = ("id", "identifier", "tile", "version", "platform", "sensing")


@dataclass(frozen=True)
class Figures:
    """What the store knows of one product. NaN where not known.

    Attributes
    ----------
    cloud, aot : float
        [%], [-]
    clear : mapping of str to float
        Median reflectance of the clear pixels by band. [-]
    accuracy : float
        Overall accuracy of its mask against a comparator or reference, the worst of the newest. [-]
    comparator : str
        Which one.
    """

    product_id: int
    identifier: str
    tile: str
    version: str
    platform: str
    sensing: datetime
    cloud: float = np.nan
    aot: float = np.nan
    clear: Mapping[str, float] = field(default_factory=dict)
    accuracy: float = np.nan
    comparator: str = ""


@dataclass(frozen=True)
class Proposal:
    """A product to look at, how far it stands out (steps), and why, in words."""

    product_id: int
    identifier: str
    score: float
    why: tuple[str, ...]


def rank(products: Sequence[Figures]) -> list[Proposal]:
    """Products by how far they stand out: of their series (same tile and version), of the other versions of the same
    image, of a comparator. The largest of these counts; the newest date comes first among equals.
    """
    reasons: dict[int, list[tuple[float, str]]] = {p.product_id: [] for p in products}
    series, images = defaultdict(list), defaultdict(list)
    for product in products:
        series[product.tile, product.version].append(product)
        images[product.tile, product.platform, product.sensing].append(product)
        if product.accuracy == product.accuracy:
            steps = (1 - product.accuracy) / COMPARATOR_STEP
            words = f"mask agrees with {product.comparator} on {100 * product.accuracy:.0f} % only"
            reasons[product.product_id].append((steps, words))
    for dates in series.values():
        _against_series(sorted(dates, key=lambda p: p.sensing), reasons)
    for versions in images.values():
        _against_versions(versions, reasons)
    proposals = []
    for product in sorted(products, key=lambda p: p.sensing, reverse=True):
        found = sorted(reasons[product.product_id], reverse=True)
        why = tuple(words for steps, words in found if steps >= NAMED)
        proposals.append(Proposal(product.product_id, product.identifier, found[0][0] if found else 0.0, why))
    return sorted(proposals, key=lambda p: -p.score)


def _against_series(dates: Sequence[Figures], reasons: dict[int, list[tuple[float, str]]]) -> None:
    """`dates`: of one tile and version, in order of time."""

    def note(steps: np.ndarray, words: Iterable[str]) -> None:
        for product, value, text in zip(dates, steps.tolist(), words, strict=True):
            if value == value:
                reasons[product.product_id].append((value, text))

    cloud, aot = np.array([p.cloud for p in dates], float), np.array([p.aot for p in dates], float)
    usual = _median(cloud)
    note(_steps(cloud, CLOUD_STEP), (f"cloud {v:.0f} %, its series {usual:.0f} %" for v in cloud))
    typical = _median(aot)
    note(_steps(aot, AOT_STEP), (f"AOT {v:.2f}, its series {typical:.2f}" for v in aot))
    times = np.array([p.sensing.timestamp() for p in dates])
    for band in sorted({band for p in dates for band in p.clear}):
        values = np.array([p.clear.get(band, np.nan) for p in dates], float)
        jump = values - _between_neighbours(times, values)
        words = (f"{band} jumps by {v:+.3f} against the dates around" for v in jump)
        note(np.abs(jump) / max(REFLECTANCE_STEP, _spread(jump)), words)


def _against_versions(versions: Sequence[Figures], reasons: dict[int, list[tuple[float, str]]]) -> None:
    """`versions`: of one image."""
    for product in versions:
        for other in versions:
            cloud, aot = product.cloud - other.cloud, product.aot - other.aot
            for steps, words in (
                (abs(cloud) / VERSION_CLOUD_STEP, f"cloud differs by {cloud:+.0f} % from {other.version}"),
                (abs(aot) / VERSION_AOT_STEP, f"AOT differs by {aot:+.2f} from {other.version}"),
            ):
                if other is not product and steps == steps:
                    reasons[product.product_id].append((steps, words))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def _spread(values: np.ndarray) -> float:
    """Standard deviation as the median absolute deviation tells it, deaf to outliers; 0 for nothing."""
    spread = 1.4826 * _median(np.abs(values - _median(values)))
    return spread if spread == spread else 0.0


def _steps(values: np.ndarray, step: float) -> np.ndarray:
    return np.abs(values - _median(values)) / max(step, _spread(values))


def _between_neighbours(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What each value would be on a line from the known one before to the known one after; NaN without both."""
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    for before, here, after in zip(known, known[1:], known[2:], strict=False):
        share = (times[here] - times[before]) / (times[after] - times[before])
        out[here] = values[before] + share * (values[after] - values[before])
    return out


def figures(session: Session, candidates: Collection[Product]) -> list[Figures]:
    """Of some products and of the dates of their tiles around them, all of which users get."""
    if not candidates:
        return []
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for row in validations.results(session, "clouds"):
        accuracy = row.metrics.get("overall_accuracy")
        if row.subject == "valid" and row.image and row.version and accuracy is not None and row.ring is None:
            key = row.image, row.version
            worst[key] = min(worst.get(key, (np.inf, "")), (accuracy, row.reference))
    times = [p.sensing for p in candidates]
    query = (
        sa.select(Product, Quality.cloud_percent, Quality.aot_mean, Quality.other)
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .options(load_only(*(getattr(Product, name) for name in COLUMNS)))
        .where(
            Product.current,
            Product.valid,
            Product.tile.in_({p.tile for p in candidates}),
            Product.sensing.between(min(times) - AROUND, max(times) + AROUND),
        )
    )
    found = []
    for product, cloud, aot, other in session.execute(query):
        image = names.series(product.platform, product.sensing, product.tile)
        accuracy, comparator = worst.get((image, product.version), (np.nan, ""))
        found.append(
            Figures(
                product_id=product.id,
                cloud=_number(cloud),
                aot=_number(aot),
                clear={
                    k.removeprefix("clear_"): _number(v) for k, v in (other or {}).items() if k.startswith("clear_")
                },
                accuracy=accuracy,
                comparator=comparator,
                **{name: getattr(product, name) for name in COLUMNS[1:]},
            )
        )
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _said() -> sa.Select[int]:
    """Products that somebody judged; who took his word back has not."""
    last = sa.select(sa.func.max(Verdict.id)).group_by(Verdict.product_id, Verdict.reader)
    return sa.select(Verdict.product_id).where(Verdict.id.in_(last), Verdict.verdict != "none")


def taken(session: Session, product_id: int) -> bool:
    """Whether somebody judged a product."""
    last = sa.select(sa.func.max(Verdict.id)).where(Verdict.product_id == product_id).group_by(Verdict.reader)
    query = sa.select(Verdict.id).where(Verdict.id.in_(last), Verdict.verdict != "none").limit(1)
    return session.scalar(query) is not None


def candidates(session: Session, reader: str, *, second: bool = False, tile: str = "") -> dict[int, Product]:
    """The `NEWEST` products, by their publication, that a reader may judge, by key; as of `proposals`."""
    query = sa.select(Product).options(load_only(Product.tile, Product.sensing)).where(Product.current, Product.valid)
    if second:
        query = query.where(Product.id.in_(_said()), Product.id.not_in(_said().where(Verdict.reader == reader)))
    else:
        query = query.where(Product.id.not_in(_said()))
    if tile:
        query = query.where(Product.tile.contains(tile, autoescape=True))
    newest = query.order_by(Product.published.desc(), Product.id.desc()).limit(NEWEST)
    return {p.id: p for p in session.scalars(newest)}


def proposals(session: Session, reader: str, *, second: bool = False, tile: str = "") -> list[Proposal]:
    """What a reader should look at, outliers first: of the `NEWEST` products, by their publication, that he may judge.

    An archive of millions is neither read nor ranked whole; older products come up as the newer ones are judged.

    Parameters
    ----------
    second : bool
        Second reading: products that others judged and this reader did not. Else those that nobody has judged.
    tile : str
        Part of the tile's name.
    """
    found = candidates(session, reader, second=second, tile=tile)
    return [p for p in rank(figures(session, found.values())) if p.product_id in found]
