"""Products: the list, and of the chosen one reflectance and masks side by side, its figures and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, BeforeValidator, Field

from dashboard import address, live, people, queries, theme, tiles
from dashboard.address import changed
from dashboard.api.centre import Centre, Here
from dashboard.choice import field, heads, select
from dashboard.frame import kpis
from dashboard.pages import quicklooks
from dashboard.pages.quicklooks import IMAGES, NO_MASK, Look
from dashboard.snapshot import Snapshot
from processing import tiling
from processing.errors import ProductError
from processing.masks import OF_TERRAIN
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product

ANY = "All"
#: Rows of the list.
ROWS = 14
#: What the list can be sorted by, either way.
ORDERS = [sign + name for name in queries.LISTED for sign in ("-", "")]
#: What the images show until somebody chooses.
LOOK = Look("natural", "natural", "CLM", quicklooks.own_bits("CLM"), 0.6)

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Field(max_length=500)]


class Asked(BaseModel):
    """What the address asks for.

    Attributes
    ----------
    product : str
        Identifier of the chosen product; empty: the first of the list.
    tile : str
        Part of a tile id.
    site, version : str
        `ANY` asks for nothing.
    first, last, published : str
        First and last day of sensing, and day of publication, 2023-08-31.
    cloud : int
        Most cloud. [%]
    order : str
        Of `ORDERS`.
    page : int
        Of the list.
    left, right, mask : str
        What the images show, as of `Look`.
    bits : str
        Of the mask, ``CLM.96``; empty: its own.
    opacity : float
        Of the mask, 0 to 1.
    """

    product: Text = ""
    tile: Text = ""
    site: Text = ANY
    version: Text = ANY
    first: Text = ""
    last: Text = ""
    published: Text = ""
    # A form without a script sends empty fields too.
    cloud: Annotated[int, BeforeValidator(lambda given: 100 if given == "" else given), Field(ge=0, le=100)] = 100
    order: Text = "-sensing"
    page: Annotated[int, Field(ge=0, le=10**6)] = 0
    left: Text = LOOK.left
    right: Text = LOOK.right
    mask: Text = LOOK.mask
    bits: Text = ""
    opacity: Annotated[float, Field(ge=0, le=1)] = LOOK.opacity

    def changed(self, **values: object) -> str:
        """The address of the page with something else chosen."""
        return changed("products", self, **values)

    def hidden(self, *without: str) -> str:
        """All but some of what is asked for, as HTML for a form that chooses those."""
        return live.kept(self, without)


@dataclass(frozen=True)
class Chosen:
    """The product that is shown, as far as the store knows it."""

    name: str
    detail: queries.Detail | None


class Products:
    """Filters, list, and the chosen product; the address holds all of them."""

    #: What the address holds of the list.
    FILTERS = ("tile", "site", "version", "first", "last", "published", "cloud")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, asked: Asked) -> None:
        self._store, self.snapshot, self.settings, self.asked = store, snapshot, settings, asked
        self._sites, self._versions = snapshot.ask(queries.choices_of_list)
        #: What of the address can't be, in words.
        self.faults = self._unknown()

    def _unknown(self) -> list[str]:
        now = self.asked
        sites, versions = [ANY, *self._sites], [ANY, *self._versions]
        offered = {
            "site": (sites, f"site with products here: {', '.join(sites)}"),
            "version": (versions, f"version with products here: {', '.join(versions)}"),
            "order": (ORDERS, f"order of the list: {', '.join(queries.LISTED)}"),
            "left": (IMAGES, f"image: {', '.join(IMAGES)}"),
            "right": (IMAGES, f"image: {', '.join(IMAGES)}"),
            "mask": ((*theme.MASKS, NO_MASK), f"mask: {', '.join((*theme.MASKS, NO_MASK))}"),
        }
        given = {name: str(getattr(now, name)) for name in offered}
        found = [
            f"{given[name] or 'An empty word'} is no {what}"
            for name, (words, what) in offered.items()
            if given[name] not in words
        ]
        return found + address.no_days({"From": now.first, "To": now.last, "Published on": now.published})

    def parts(self) -> dict[str, str]:
        """The filters, the list and the chosen product, each as HTML."""
        listed = self._table()
        chosen = self._chosen
        if chosen.name and chosen.detail is None:
            self.faults.append(f"{chosen.name} is not a product of this centre")
        return {
            "faults": address.said([*self.faults, *self._nothing()]),
            "filters": self._fields(),
            "list": listed,
            "head": self._head(chosen),
            "images": self._images(chosen.detail) if chosen.detail else "",
            "facts": _facts(chosen.detail, self.asked) + self._links(chosen.detail) if chosen.detail else "",
        }

    def body(self) -> str:
        """The parts where they belong, as HTML."""
        made = {name: live.part(name, content) for name, content in self.parts().items()}
        # On a narrow screen what was asked for by name stands above the list.
        both = (
            f'<div class="narrow">{made["filters"]}{made["list"]}</div>'
            f'<div class="wide">{made["head"]}{made["images"]}{made["facts"]}</div>'
        )
        return f'{made["faults"]}<div class="beside shown">{both}</div>'

    # The list

    @cached_property
    def _wanted(self) -> queries.Listing:
        """What the filters ask for; a day that is none asks for nothing, and is said."""
        now = self.asked
        return queries.Listing(
            tile=now.tile.strip().upper().removeprefix("T"),
            site="" if now.site == ANY else now.site,
            version="" if now.version == ANY else now.version,
            first=address.day(now.first),
            last=address.day(now.last),
            published=address.day(now.published),
            cloud=now.cloud,
        )

    @cached_property
    def _order(self) -> str:
        return self.asked.order if self.asked.order in ORDERS else ORDERS[0]

    @cached_property
    def _rows(self) -> tuple[pd.DataFrame, int]:
        """One page of products, and how many there are."""
        return self.snapshot.ask(queries.listed, self._wanted, self._order, self.asked.page * ROWS, ROWS)

    @cached_property
    def _total(self) -> int:
        return self.snapshot.ask(queries.count_products)[0]

    def _fields(self) -> str:
        """The filters, as HTML."""
        now = self.asked
        fields = (
            field("tile", "Tile", now.tile, "31TCJ"),
            select("site", "Site", now.site, {name: name for name in (ANY, *self._sites)}, ANY),
            select("version", "Version", now.version, {name: name for name in (ANY, *self._versions)}, ANY),
            field("first", "From", now.first, "2023-08-01"),
            field("last", "To", now.last, "2023-08-31"),
            field("published", "Published on", now.published, "2026-11-22"),
            '<label>Cloud at most [%]<input type="number" name="cloud" min="0" max="100" step="5" '
            f'value="{now.cloud}" data-neutral="100"></label>',
        )
        kept = now.hidden(*self.FILTERS, "page")
        return (
            f'<form method="get" action="/products" class="fields">{"".join(fields)}{kept}<button>Show</button></form>'
        )

    def _table(self) -> str:
        """The list, as HTML."""
        if not self._total:
            return '<p class="soft">No product has been published yet.</p>'
        rows, found = self._rows
        body = "".join(self._row(row) for row in rows.itertuples())
        many = f"more than {theme.number(queries.MOST_LISTED)}"
        here = many if queries.MOST_LISTED < found < self._total else theme.number(found)
        count = f"{here} of {theme.number(self._total)} products"
        return (
            f'<p class="soft">{count}</p><div class="scroll" tabindex="0" role="group" aria-label="Products">'
            f"<table>{self._heads()}<tbody>{body}</tbody></table></div>{self._pages(found)}"
        )

    def _row(self, row: Any) -> str:
        chosen = ' class="chosen" aria-current="true"' if row.identifier == self._chosen.name else ""
        name = escape(row.identifier)
        day = (
            f'<a href="{escape(self.asked.changed(product=row.identifier))}" name="{name}" data-product="{name}" '
            f'data-shows="head">{row.sensing:%Y-%m-%d}</a>'
        )
        known = row.cloud_percent is not None and row.cloud_percent == row.cloud_percent
        cloud = f"{theme.number(row.cloud_percent)} %" if known else "–"
        origin = theme.simulated_mark() if row.simulated else "Level-1C"
        return (
            f"<tr{chosen}><td>{day}</td><td>{escape(row.tile)}</td>"
            f'<td class="num">{cloud}</td><td>{theme.verdict_chip(row.verdict) if row.verdict else ""}</td>'
            f'<td>{escape(row.version)}</td><td class="much">{"published" if row.valid else "withdrawn"}</td>'
            f'<td class="much">{escape(row.site)}</td><td class="much">{origin}</td></tr>'
        )

    def _heads(self) -> str:
        """Titles of the columns; those of the store sort the list."""
        now = self.asked.model_dump(exclude_defaults=True, exclude={"page", "order"})
        titles = {"sensing": "Date", "tile": "Tile", "cloud": "Cloud"}
        first = heads(titles, self._order, "products", now, ["cloud"]).removesuffix("</tr></thead>")
        version = heads({"version": "Version"}, self._order, "products", now)
        version = version.removeprefix("<thead><tr>").removesuffix("</tr></thead>")
        rest = "".join(f'<th scope="col" class="much">{name}</th>' for name in ("State", "Site", "Origin"))
        return f'{first}<th scope="col">Verdict</th>{version}{rest}</tr></thead>'

    def _pages(self, found: int) -> str:
        """Links to the pages beside this one."""
        page, told = self.asked.page, []
        first = page * ROWS + 1
        if found and first <= found:
            told.append(f"{first} to {min(first + ROWS - 1, found)}")
        before = min(page - 1, (found - 1) // ROWS)  # from beyond the last one to it
        for number, words, name in ((before, "◀ before", "page-before"), (page + 1, "next ▶", "page-next")):
            if number >= 0 and number * ROWS < found:
                told.append(f'<a href="{escape(self.asked.changed(page=number))}" name="{name}">{words}</a>')
        return f'<p class="soft">{" · ".join(told)}</p>'

    def _nothing(self) -> list[str]:
        """Why the list is empty: which filter leaves nothing."""
        now, wanted = self.asked, self._wanted
        if self._rows[1] or not self._total:
            return []
        alone = self.snapshot.ask(queries.listed_alone, wanted)
        if wanted.tile and not alone["tile"][0]:
            what = "No product is of tile" if tiling.valid(wanted.tile) else "No tile with products has this in its id:"
            return [f"{what} {now.tile.strip()}"]
        if self.faults:
            return []
        titles = {
            **{"tile": f"Tile {now.tile}", "site": f"Site {now.site}", "version": f"Version {now.version}"},
            **{"first": f"From {now.first}", "last": f"To {now.last}", "published": f"Published on {now.published}"},
            "cloud": f"Cloud at most {now.cloud} %",
        }
        faults = [f"No product fits the filter {titles[name]}" for name, (fit, _) in alone.items() if not fit]
        faults = faults[:1] or [
            f"Without the filter {titles[name]} there are {theme.number(others)} products"
            for name, (_, others) in alone.items()
            if others
        ]
        return faults or ["No product fits all of the filters together"]

    # The chosen product

    @cached_property
    def _chosen(self) -> Chosen:
        """What is asked for by name, else the first of the list."""
        rows, _ = self._rows
        name = self.asked.product or (str(rows.iloc[0]["identifier"]) if len(rows) else "")
        if not name:
            return Chosen("", None)
        with self._store.read() as session:
            return Chosen(name, queries.detail(session, name))

    def _head(self, chosen: Chosen) -> str:
        """What the product is, and the dates beside it."""
        detail = chosen.detail
        if detail is None:
            return f"<h2>{escape(chosen.name)}</h2>" if chosen.name else ""
        steps = []
        for name, words in ((detail.before, "◀ previous date"), (detail.after, "next date ▶")):
            there = escape(self.asked.changed(product=name))
            steps.append(f'<a href="{there}">{words}</a>' if name else f'<span class="soft">{words}</span>')
        asked = " data-asked" if self.asked.product else ""
        title = headline(detail, lambda name: self.asked.changed(product=name))
        return f'<div{asked}>{title}</div><p class="steps">{" · ".join(steps)}</p>'

    def _images(self, detail: queries.Detail) -> str:
        """Reflectance and masks side by side, and the choice of what they show."""
        product = detail.product
        try:
            extent, offered = quicklooks.opened(self.settings.archive / product.path)
        except ProductError as error:
            return quicklooks.fault(error)
        folder = queries.Folder(product.identifier, product.path, product.manifest_sha, product.simulated)
        look, absent = self._look(offered)
        asked = self.asked.model_copy(update={"product": product.identifier})
        kept = asked.hidden("left", "right", "mask", "opacity")
        choices = (
            f'<form method="get" action="/products" class="fields late">{quicklooks.choices(look, offered, LOOK)}'
            f'{quicklooks.opacity(look, LOOK)}{kept}<button class="unscripted">Show</button></form>'
        )
        switches = quicklooks.switches(look)
        legend = (
            f'<form method="get" action="/products" class="switches" aria-label="Bits of the mask">{switches}'
            f"{asked.hidden('bits')}</form>"
            if switches
            else ""
        )
        return f'<div class="stack">{absent}{choices}{quicklooks.pair(folder, extent, look, legend)}</div>'

    def _look(self, offered: list[str]) -> tuple[Look, str]:
        """What the images show of what is asked for; and what this product does not have, as HTML."""
        now, there = self.asked, set(offered)
        images = [name for name in IMAGES if name in there]
        chosen = {name: str(getattr(now, name)) for name in ("left", "right", "mask")}
        lacks = sorted({name for name in chosen.values() if name in (*IMAGES, *theme.MASKS) and name not in there})
        left, right = (chosen[name] if chosen[name] in images else images[0] for name in ("left", "right"))
        mask = chosen["mask"] if chosen["mask"] in there and chosen["mask"] in theme.MASKS else NO_MASK
        kind, _, bits = now.bits.partition(".")
        chosen_bits = int(bits) & 255 if kind == mask and bits.isascii() and bits.isdigit() else None
        look = Look(left, right, mask, quicklooks.own_bits(mask) if chosen_bits is None else chosen_bits, now.opacity)
        told = ", ".join(tiles.LAYERS[name].title for name in lacks)
        return look, f'<p class="soft">This product has no layer {escape(told)}.</p>' if lacks else ""

    def _links(self, detail: queries.Detail) -> str:
        """Where else it is shown, and its files."""
        product = detail.product
        name = escape(product.identifier)
        links = [f'<a href="/products/{name}/files">Files of this product</a>']
        if product.valid:
            size = theme.number(product.bytes / 1e6, 1)
            links.append(f'<a href="/products/{name}/zip">Download ({size} MB)</a>')
        links.append(f'<a href="/compare?left={name}">Compare</a>')
        role = people.reader().role
        if role.reaches(self.settings.table["quality"]):
            links.append(f'<a href="/quality?product={name}">Judge it in Quality</a>')
        if role.reaches(self.settings.table["production"]):
            links.append(f'<a href="/failures?state=published&amp;job={product.job_id}">Attempts and their logs</a>')
        return f'<p class="soft">{" · ".join(links)}</p>'


@router.get("/products", response_class=HTMLResponse)
def page(centre: Here, request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """The page, or how old it is where it shows this state of the store already."""
    snapshot = centre.snapshots.latest()
    if (answer := live.unchanged(request, centre, snapshot)) is not None:
        return answer
    return _page(centre, snapshot, asked)


def _page(centre: Centre, snapshot: Snapshot, asked: Asked) -> HTMLResponse:
    made = Products(centre.store, snapshot, centre.settings, asked)
    body = made.body()
    return live.page(centre, "products", snapshot, body, styles="live.css", status=404 if made.faults else 200)


def _alone(name: str) -> str:
    return address.address("products", product=name)


def headline(detail: queries.Detail, there: Callable[[str], str] = _alone) -> str:
    """A product's tile, time, versions and verdicts, as HTML; `there`: the address that shows a product."""
    product = detail.product
    mark = " " + theme.simulated_mark() if product.simulated else ""
    withdrawn = "" if product.valid else " " + theme.chip("withdrawn", theme.colour("failed"))
    said = " ".join(theme.verdict_chip(v.verdict, by=v.reader) for v in detail.verdicts)
    versions = " ".join(
        theme.chip(version, theme.version_colour(version))
        if name == product.identifier
        else f'<a href="{escape(there(name))}">{theme.chip(version, theme.version_colour(version))}</a>'
        for version, name in detail.versions
    )
    return (
        f"<h2>{escape(product.tile)}{', ' + escape(detail.site) if detail.site else ''}, {theme.utc(product.sensing)} "
        f"{versions}{withdrawn}{mark} {said}</h2>"
        f'<div class="soft" style="overflow-wrap:anywhere">{escape(product.identifier)}</div>'
    )


def _facts(detail: queries.Detail, asked: Asked) -> str:
    product, quality = detail.product, detail.quality

    def percent(value: float | None) -> str:
        return theme.number(value, 1) + (" %" if value is not None else "")

    figures: list[tuple[str, ...]] = []
    if quality is not None:
        figures = [
            ("Cloud", percent(quality.cloud_percent), "of observed pixels"),
            ("Snow", percent(quality.snow_percent), "of observed pixels"),
            ("Not observed", percent(quality.no_data_percent), "of all pixels"),
            ("AOT", theme.number(quality.aot_mean, 2), "mean, 550 nm"),
            ("Water vapour", theme.number(quality.water_vapour_mean, 2), "mean [g cm⁻²]"),
        ]
    figures.append(("Mode", product.mode, f"{product.platform}, orbit {product.relative_orbit or '–'}"))
    figures.append(("Published", f"{product.published:%Y-%m-%d}", f"{product.published:%H:%M} UTC"))
    figures.append(("Size", f"{theme.number(product.bytes / 1e6, 1)} MB", f"revision {product.revision}"))
    absent = "".join(f'<p class="soft">{escape(line)}</p>' for line in not_made(product))
    before = ""
    if detail.previous:
        there = escape(asked.changed(product=detail.previous))
        before = f'<p class="soft">Composite of <a href="{there}">{escape(detail.previous)}</a></p>'
    return kpis(figures) + absent + before + _sources(product.origin)


def not_made(product: Product) -> list[str]:
    """What a product does not have, each with its true reason: no terrain model, or no step of its version."""
    absent = set(product.absent)
    without_terrain = (
        absent & {"FRE", *OF_TERRAIN} if "no terrain model" in str(product.origin.get("flat_reflectance")) else set()
    )
    lines = []
    if without_terrain:
        lines.append(f"Not made, as no terrain model was given: {', '.join(sorted(without_terrain))}")
    if absent - without_terrain:
        steps = ", ".join(sorted(absent - without_terrain))
        lines.append(f"Not made, as {product.version} has no step for it in {product.mode} mode: {steps}")
    return lines


def _sources(origin: Mapping[str, str]) -> str:
    """Where each quantity came from, and every fallback; closed until asked for."""
    words = {name: "AOT" if name == "aot" else name.replace("_", " ").capitalize() for name in sorted(origin)}
    rows = "".join(f"<tr><th>{escape(said)}</th><td>{escape(origin[name])}</td></tr>" for name, said in words.items())
    return f'<details class="soft"><summary>Made from</summary><table>{rows}</table></details>' if rows else ""
