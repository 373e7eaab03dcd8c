"""Whole validations: inputs found and paired, compared, drawn. What can't be used is named and stops nothing else."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from processing.bands import DISTRIBUTED
from processing.errors import InputError, MuscateError
from processing.product import Product
from processing.validation import aeronet, figures
from processing.validation import aot as aerosol
from processing.validation import clouds as cloud_masks
from processing.validation import reflectance as surface
from processing.validation import truth as truths
from processing.validation import versions as two_versions
from processing.validation.comparators import COMPARATORS
from processing.validation.images import Image, collect
from processing.validation.masks import VECTORS, Classes, Frame, Mask, named, of_file, of_product

RASTERS = (".tif", ".tiff", ".jp2", ".vrt", ".img")


@dataclass
class Run:
    """What a validation found.

    Attributes
    ----------
    kind : str
        ``clouds``, ``aot``, ``reflectance``, ``versions``.
    rows : list of dict
        Columns of `store.models.Validation` but for the time and command: kind, subject, method, version, reference,
        image, buffer, ring, metrics.
    faults : list of MuscateError
        Inputs that could not be used.
    notes : list of str
        What a reader of the figures has to know.
    """

    kind: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[MuscateError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Of rows by their place, pairs for a scatter; too long for tables, kept in the store.
    samples: dict[int, dict[str, list[float]]] = field(default_factory=dict)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep a failure known by name and go on after the block."""
        try:
            yield
        except MuscateError as error:
            self.faults.append(error)

    def add(self, subject: str, version: str, reference: str, image: str | None, metrics: Mapping[str, Any]) -> None:
        """Note the figures of a version of our own."""
        treated = {"image": image, "buffer": None, "ring": None}
        self._note(subject, f"muscate {version}", version, {"reference": reference} | treated, metrics)

    def add_comparison(self, found: cloud_masks.Comparison, reference: str) -> None:
        """Note the figures of a mask, ours or another's."""
        treated = {"image": found.image, "buffer": found.buffer, "ring": found.ring}
        metrics = found.confusion.metrics() | {"images": found.images}
        self._note(found.subject, found.method, found.version, {"reference": reference} | treated, metrics)

    def _note(
        self, subject: str, method: str, version: str | None, against: Mapping[str, Any], metrics: Mapping[str, Any]
    ) -> None:
        what = {"kind": self.kind, "subject": subject, "method": method, "version": version}
        self.rows.append(what | dict(against) | {"metrics": dict(metrics)})


def sample(reference: Any, found: Any, most: int = 10_000) -> dict[str, list[float]]:
    """Every n-th pair, so that no more than `most` are left."""
    step = max(1, -(-len(reference) // most))
    return {
        "reference": np.round(reference[::step].astype(float), 4).tolist(),
        "found": np.round(found[::step].astype(float), 4).tolist(),
    }


@dataclass(frozen=True)
class MaskFiles:
    """Mask files of one origin, one an image."""

    name: str
    files: Sequence[Path]
    classes: Classes


@dataclass(frozen=True)
class TruthFiles:
    """``clouds_10m.tif`` of simulated images, one an image."""

    name: str
    files: Sequence[Path]


def truth_files(folders: Sequence[Path]) -> TruthFiles:
    """The truth that lies in folders as `muscate simulate` writes them (``truth/``, or the one above it).

    Raises
    ------
    InputError
        If a folder holds none.
    """
    found: list[Path] = []
    for folder in folders:
        here = sorted(folder.glob("*/clouds_10m.tif")) or sorted(folder.glob("truth/*/clouds_10m.tif"))
        if not here:
            raise InputError(folder, "holds no truth of muscate simulate")
        found += here
    return TruthFiles("simulated truth", found)


def files(text: str, suffixes: Sequence[str] = (*RASTERS, *VECTORS)) -> list[Path]:
    """The files of a path, a folder or a pattern (``reference/*/masks.tif``).

    Raises
    ------
    InputError
        If there are none.
    """
    path = Path(text)
    if path.is_dir():
        found = [p for p in sorted(path.iterdir()) if p.suffix.lower() in suffixes]
    elif path.exists():
        found = [path]
    else:
        found = [Path(p) for p in sorted(glob.glob(text, recursive=True))]
    if not found:
        raise InputError(path, "no such file" if not path.is_dir() else f"holds no file of {', '.join(suffixes)}")
    return found


def of_image(image: Image, found: Sequence[Path], images: Sequence[Image]) -> Path:
    """The file that belongs to an image by the tile and date in its name or its folder's.

    Raises
    ------
    InputError
        If there is none, or several; a name without a date will do where there is one image only.
    """
    fitting = []
    for path in found:
        tile, date = named(path)
        if tile in (None, image.tile) and (date == image.date or (date is None and len(images) == 1)):
            fitting.append(path)
    if len(fitting) != 1:
        several = ": " + ", ".join(str(p) for p in fitting) if fitting else ""
        raise InputError(image.identifier, f"{len(fitting)} files are of its tile and date instead of one{several}")
    return fitting[0]


@dataclass(frozen=True)
class Others:
    """Masks of others, to be judged beside those of the products.

    Attributes
    ----------
    files : sequence of MaskFiles
    comparators : sequence of str
        Names of `comparators.COMPARATORS`, run on the Level-1C.
    """

    files: Sequence[MaskFiles] = ()
    comparators: Sequence[str] = ()


def clouds(
    paths: Sequence[Path],
    reference: MaskFiles | TruthFiles,
    out: Path,
    *,
    others: Others,
    how: cloud_masks.Treatment,
    maps: bool = True,
) -> Run:
    """Judge cloud and shadow masks.

    Parameters
    ----------
    paths : sequence of Path
        Products of any versions, Level-1C packages, or folders of them.
    reference : MaskFiles or TruthFiles
        Of the truth the kinds of cloud are judged apart, too (`truth.SUBJECTS`).
    out : Path
        Receives ``clouds_<subject>.png`` and, with `maps`, ``clouds_<image>.png``.
    """
    run = Run("clouds")
    images, faults = collect(paths)
    run.faults += faults
    found: list[cloud_masks.Comparison] = []
    for image in images:
        with run.noting():
            frame = Frame(image.grid, how.resolution)
            against, known = _against(of_image(image, reference.files, images), reference, frame)
            masks = _masks(run, image, images, others, frame)
            _note_unknown(run, image, (against, *masks))
            if not masks:
                raise InputError(image.identifier, "there is no mask of it to judge")
            if maps:
                _draw_agreement(out, image, masks, against, how)
            compared = cloud_masks.compare_image(image.identifier, masks, against, how)
            if known is not None:
                compared += truths.compare(image.identifier, masks, known, how.resolution)
            found += compared
    rows = [*found, *cloud_masks.overall(found)]
    for row in rows:
        run.add_comparison(row, reference.name)
    for subject in dict.fromkeys(c.subject for c in found):
        figures.bars(out / f"clouds_{subject.replace(' ', '_')}.png", rows, subject, reference.name)
    return run


def _against(path: Path, reference: MaskFiles | TruthFiles, frame: Frame) -> tuple[Mask, truths.Truth | None]:
    """The mask that those of an image are held against, and all that is known of it where it is a truth."""
    if isinstance(reference, TruthFiles):
        known = truths.read(path, frame)
        return known.mask, known
    return of_file(path, reference.classes, frame, reference.name), None


def _masks(run: Run, image: Image, images: Sequence[Image], others: Others, frame: Frame) -> list[Mask]:
    """All masks of an image, its products' first."""
    masks: list[Mask] = []
    for product in image.products:
        with run.noting():
            masks.append(of_product(product, frame))
    for other in others.files:
        with run.noting():
            masks.append(of_file(of_image(image, other.files, images), other.classes, frame, other.name))
    for name in others.comparators:
        with run.noting():
            if image.granule is None:
                raise InputError(image.identifier, f"{name} needs its Level-1C, which was not given")
            masks.append(COMPARATORS[name](image.granule, frame))
    return masks


def _note_unknown(run: Run, image: Image, masks: Iterable[Mask]) -> None:
    """Say which classes the mappings do not name."""
    for one in masks:
        for value, pixels in one.unknown.items():
            what = "taken as clear" if one.unnamed_is_clear else "left out"
            counted = f"{pixels} pixels ({100 * pixels / one.cloud.size:.2g} %), {what}"
            run.notes.append(f"{image.identifier}: {one.method}: class {value} is not in the mapping: {counted}")


def _draw_agreement(out: Path, image: Image, masks: Sequence[Mask], against: Mask, how: cloud_masks.Treatment) -> None:
    titles = {
        "as it is": (masks, against),
        f"grown to {how.buffer:g} m": ([how.harmonised(m) for m in masks], how.harmonised(against)),
    }
    quicklook = next((p.files["QKL_ALL"] for p in image.products if "QKL_ALL" in p.files), None)
    figures.agreement(out / f"clouds_{image.identifier}.png", image.identifier, titles, quicklook)


def _products(run: Run, paths: Sequence[Path]) -> tuple[list[Image], list[tuple[Image, Product]]]:
    images, faults = collect(paths)
    run.faults += faults
    return images, [(image, product) for image in images for product in image.products]


def aot_against_stations(paths: Sequence[Path], stations: Sequence[Path], around: aerosol.Around, out: Path) -> Run:
    """AOT of products against AERONET files; figures by version, and each matched pair by image.

    Where versions have not all the same pairs, their figures on those that all have are given as well.
    """
    run = Run("aot")
    _, products = _products(run, paths)
    known: list[aeronet.Station] = []
    for path in stations:
        with run.noting():
            known += aeronet.read(path)
    pairs = []
    for image, product in products:
        for station in known:
            with run.noting():
                found = aerosol.match(product, image.identifier, station, around)
                if isinstance(found, aerosol.Match):
                    pairs.append(found)
                elif found is not None:
                    run.notes.append(f"{product.identifier}: {found}")
    if products and known and not pairs:
        run.notes.append(f"none of {', '.join(sorted({s.name for s in known}))} matches any of the products")
    _add_matches(run, pairs, around, out)
    return run


def _add_matches(run: Run, pairs: Sequence[aerosol.Match], around: aerosol.Around, out: Path) -> None:
    """Figures of the pairs of each version, and of those that all versions have where some have more."""
    panels = {}
    versions = aerosol.by_version(pairs)
    everywhere = (
        set.intersection(*({(m.site, m.image) for m in group} for group in versions.values())) if pairs else set()
    )
    for version, group in versions.items():
        numbers = aerosol.figures([m.found for m in group], [m.reference for m in group])
        panels[version] = group, numbers
        sites = ", ".join(sorted({m.site for m in group}))
        run.add("aot", version, f"AERONET {sites}", None, numbers | asdict(around))
        same = [m for m in group if (m.site, m.image) in everywhere]
        if same and any(len(same) < len(other) for other in versions.values()):
            numbers = aerosol.figures([m.found for m in same], [m.reference for m in same]) | asdict(around)
            run.add("aot", version, f"AERONET {sites}, pairs of all versions", None, numbers)
        for m in group:
            details = {k: v for k, v in asdict(m).items() if k not in ("image", "version", "sensing", "site")}
            run.add("aot", version, f"AERONET {m.site}", m.image, details)
    if panels:
        figures.matches(out / "aot.png", panels)


def aot_against_maps(
    paths: Sequence[Path], maps: Sequence[Path], out: Path, *, interpolated: bool = False, name: str = "map"
) -> Run:
    """AOT, and water vapour where the map has it, against rasters where they are known; by image and version."""
    run = Run("aot")
    images, products = _products(run, paths)
    fields: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    for image, product in products:
        for subject in aerosol.SUBJECTS:
            with run.noting():
                path = of_image(image, maps, images)
                found, known = aerosol.against_map(product, path, subject, interpolated=interpolated)
                both = np.isfinite(found) & np.isfinite(known)
                fields.setdefault((subject, product.version), []).append((known[both], found[both]))
                numbers = aerosol.figures(found, known)
                run.add(subject, product.version, name, image.identifier, numbers)
    for subject in aerosol.SUBJECTS:
        panels = {}
        for version in [v for s, v in fields if s == subject]:
            known, found = (np.concatenate(a) for a in zip(*fields[subject, version], strict=True))
            numbers = aerosol.figures(found, known) | {"images": len(fields[subject, version])}
            panels[version] = known, found, numbers
            run.add(subject, version, name, None, numbers)
            run.samples[len(run.rows) - 1] = sample(known, found)
        if panels:
            unit = "AOT at 550 nm" if subject == "aot" else "water vapour [g cm-2]"
            labels = (f"{name}: {unit}", f"product: {unit}")
            figures.scatter(out / f"{subject}.png", panels, labels, limits=subject == "aot")
    return run


@dataclass(frozen=True)
class ReflectanceFiles:
    """Rasters of surface reflectance of one origin, one an image.

    Attributes
    ----------
    bands : sequence of str or None
        In the order of the rasters; None: as these describe them.
    scale : float or None
        Reflectance of one count; None: 0.0001 of integers, 1 of others.
    """

    name: str
    files: Sequence[Path]
    bands: Sequence[str] | None = None
    scale: float | None = None


def reflectance(
    paths: Sequence[Path],
    reference: ReflectanceFiles,
    out: Path,
    *,
    roughness: float | None = None,
    kind: str = "SRE",
) -> Run:
    """Accuracy, precision and uncertainty by band and bin of reflectance, by image and over all of a version."""
    run = Run("reflectance")
    images, products = _products(run, paths)
    pooled: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    about = {"kind": kind, "roughness": roughness}
    for image, product in products:
        with run.noting():
            path = of_image(image, reference.files, images)
            against = surface.reference(path, reference.bands, reference.scale)
            for band, found, known in surface.pairs(product, against, kind, roughness):
                both = np.isfinite(found) & np.isfinite(known)
                strange = both & ((known < surface.PLAUSIBLE[0]) | (known > surface.PLAUSIBLE[1]))
                if strange.any():
                    what = f"{np.count_nonzero(strange)} pixels of {band} are no reflectance: left out"
                    run.notes.append(f"{image.identifier}: {reference.name}: {what}")
                both &= ~strange
                pooled.setdefault((product.version, band), []).append((found[both], known[both]))
                table = surface.figures_by_bin(found[both], known[both])
                metrics = table["all"] | {"bins": table} | about
                run.add(band, product.version, reference.name, image.identifier, metrics)
    for version in dict.fromkeys(v for v, _ in pooled):
        tables = {}
        for band in (b for b in DISTRIBUTED if (version, b) in pooled):
            found, known = (np.concatenate(a) for a in zip(*pooled[version, band], strict=True))
            tables[band] = surface.figures_by_bin(found, known)
            counted = {"bins": tables[band]} | about | {"images": len(pooled[version, band])}
            run.add(band, version, reference.name, None, counted | tables[band]["all"])
        figures.uncertainty(out / f"reflectance_{version}.png", tables, f"{version} against {reference.name}")
    return run


def noise(paths: Sequence[Path], *, step: float = 200.0, kind: str = "SRE") -> Run:
    """Noise of the time series of each tile and version."""
    run = Run("reflectance")
    _, products = _products(run, paths)
    series: dict[tuple[str, str], list[Product]] = {}
    for _, product in products:
        series.setdefault((product.tile, product.version), []).append(product)
    for (tile, version), dates in series.items():
        if len(dates) < 3:
            run.notes.append(f"T{tile} {version}: {len(dates)} dates: no triplet, no noise")
            continue
        with run.noting():
            for band, numbers in surface.series_noise(dates, step, kind).items():
                metrics = numbers | {"images": len(dates), "kind": kind}
                run.add(band, version, f"T{tile} in time", None, metrics)
    return run


def versions(paths: Sequence[Path], new: str, old: str) -> Run:
    """What a version changes against another, by image and as the mean over the images that have both."""
    run = Run("versions")
    images, _ = _products(run, paths)
    found: dict[str, list[dict[str, Any]]] = {}
    for image in images:
        held = {p.version: p for p in image.products}
        if missing := {new, old} - set(held):
            run.notes.append(f"{image.identifier}: there is no {' and no '.join(sorted(missing))} of it")
            continue
        with run.noting():
            for subject, metrics in two_versions.compare(held[new], held[old]).items():
                found.setdefault(subject, []).append(metrics)
                run.add(subject, new, old, image.identifier, metrics)
    for subject, rows in found.items():
        run.add(subject, new, old, None, _mean(rows) | {"images": len(rows)})
    return run


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int | None]:
    """Each figure's mean over the images that have it; counts are added up."""
    means: dict[str, float | int | None] = {}
    for name in rows[0]:
        values = [row[name] for row in rows if row[name] is not None]
        if values and all(isinstance(value, int) for value in values):
            means[name] = sum(values)
        else:
            means[name] = float(np.mean(values)) if values else None
    return means
