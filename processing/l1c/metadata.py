"""The metadata of a Level-1C package: product XML and tile XML, of all formats since PSD 13."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from processing.atmosphere.responses import Response
from processing.bands import BANDS, BY_INDEX, BY_L1C
from processing.errors import L1CError, Unrecognised
from processing.known import Baseline, Known, Masks, Satellite
from processing.l1c import limits
from processing.l1c.package import Package, inside
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Angles

#: ``ARCHIVING_CENTRE`` of a simulated product.
SIMULATION_CENTRE = "MUSCATE_SIMULATION"

#: Number of the last detector of the instrument.
LAST_DETECTOR = 12
#: Where a spectral response stands: from and to which wavelength, in which steps, and its values.
RESPONSE = ("Wavelength/MIN", "Wavelength/MAX", "Spectral_Response/STEP", "Spectral_Response/VALUES")
#: Masks that are listed for each band, by their form.
MASKS: Mapping[Masks, tuple[str, ...]] = {
    "image": ("MSK_DETFOO", "MSK_QUALIT"),
    "gml": ("MSK_DETFOO", "MSK_DEFECT", "MSK_NODATA", "MSK_SATURA", "MSK_TECQUA"),
}


class _Document:
    """An XML file of the package whose missing or odd elements are named in the error."""

    def __init__(self, package: Package, name: str, root: Any) -> None:
        self.package, self.name, self.root = package, name, root

    def fault(self, text: str) -> L1CError:
        return self.package.fault(self.name, text)

    def element(self, path: str) -> Any:
        found = self.root.find(f".//{path}")
        if found is None:
            raise self.fault(f"no {path}")
        return found

    def text(self, path: str) -> str:
        return (self.element(path).text or "").strip()

    def match(self, path: str, pattern: str) -> re.Match[str]:
        text = self.text(path)
        match = re.fullmatch(pattern, text)
        if not match:
            raise self.fault(f"{path} is {text!r}")
        return match

    def number(self, element: Any) -> float:
        try:
            value = float(element.text)
        except (TypeError, ValueError):
            raise self.fault(f"{element.tag} is {element.text!r}, not a number") from None
        if not np.isfinite(value):
            raise self.fault(f"{element.tag} is {value}")
        self.refuse(limits.fault(element.tag, value))
        return value

    def refuse(self, text: str | None) -> None:
        """Raise what is wrong, if something is."""
        if text is not None:
            raise self.fault(text)

    def time(self, path: str) -> datetime:
        text = self.text(path)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise self.fault(f"{path} is {text!r}, not a time") from None
        try:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except OverflowError:
            raise self.fault(f"{path} is {text!r}, no time of a satellite") from None

    def per_band(self, path: str, attribute: str) -> dict[str, float]:
        """A number of each of the 13 bands."""
        found = {self.band(e, attribute): self.number(e) for e in self.root.iterfind(f".//{path}")}
        if missing := [b for b in BANDS if b not in found]:
            raise self.fault(f"no {path} of {', '.join(missing)}")
        return {b: found[b] for b in BANDS}

    def band(self, element: Any, attribute: str = "bandId") -> str:
        index = element.get(attribute, "")
        if not index.isdecimal() or len(index) > 2 or int(index) not in BY_INDEX:
            raise self.fault(f"{element.tag} of band {index[:20]!r}, which Sentinel-2 has not")
        return BY_INDEX[int(index)].name


class Listed(NamedTuple):
    """A granule in the product XML.

    Attributes
    ----------
    folder : str
    images : mapping of band to str
    granule, datastrip : str
        Their identifiers; empty where it gives none.
    """

    folder: str
    images: Mapping[str, str]
    granule: str = ""
    datastrip: str = ""


class Said(NamedTuple):
    """What a package says that it is.

    Attributes
    ----------
    platform, baseline : str
    offset : bool
        It names an offset of the counts of each band.
    masks : str or None
        The form of its masks; None if that is none that is known.
    """

    platform: str
    baseline: str
    offset: bool
    masks: Masks | None


@dataclass(frozen=True)
class Product:
    """What the product XML says of all granules of the package."""

    satellite: Satellite
    datatake_sensing: datetime
    orbit: int
    relative_orbit: int
    baseline: str
    form: Baseline
    generation: datetime
    discriminator: str
    quantification: float
    offset: Mapping[str, float]
    solar_irradiance: Mapping[str, float]
    physical_gain: Mapping[str, float]
    special: Mapping[str, int]
    granules: tuple[Listed, ...]
    unusable: tuple[L1CError, ...] = ()
    """Why others that are listed can't be used."""


@dataclass(frozen=True)
class Tile:
    """What the tile XML says of one granule, without its angles."""

    tile: str
    sensing: datetime
    datastrip: datetime
    datastrip_id: str
    simulated: bool
    epsg: int
    west: float
    north: float
    sizes: Mapping[int, tuple[int, int]]
    """Rows and columns by resolution."""
    masks: Mapping[tuple[str, str], str]
    """File by mask type and band."""


def said_of(package: Package) -> Said:
    """What a `.SAFE` says that it is, whether that is known or not.

    Raises
    ------
    L1CError
        If there is none, or it or the XML of its first granule is malformed.
    """
    document = _find_product(package)
    offsets = {e.get("band_id") for e in document.root.iter("RADIO_ADD_OFFSET")}
    return Said(
        platform="S2" + document.match("SPACECRAFT_NAME", r"Sentinel-2([A-Z])")[1],
        baseline=document.match("PROCESSING_BASELINE", r"\d\d\.\d\d")[0],
        offset=len(offsets) == len(BANDS),
        masks=_form_of_masks(package, _granules(document)[0][0].folder),
    )


def _form_of_masks(package: Package, folder: str) -> Masks | None:
    """The form in which a granule lists all its masks; None if that is none that is known.

    Raises
    ------
    L1CError
        If its tile XML can't be read.
    """
    document = _tile_document(package, find_tile(package, folder))
    listed = {
        (e.get("type", ""), e.get("bandId", ""), PurePosixPath((e.text or "").strip()).suffix == ".gml")
        for e in document.root.iterfind(".//MASK_FILENAME")
    }
    for form, kinds in MASKS.items():
        if all((kind, str(b.index), form == "gml") in listed for kind in kinds for b in BANDS.values()):
            return form
    return None


def recognise(
    fault: Callable[[str], L1CError], platform: str, baseline: str, known: Known
) -> tuple[Satellite, Baseline]:
    """The satellite and the format of a package; `fault` names the file that says what it is.

    Raises
    ------
    L1CError
        If the baseline is no number.
    Unrecognised
        If one of them is not known.
    """
    if not re.fullmatch(r"\d\d\.\d\d", baseline):
        raise fault(f"processing baseline {baseline[:20]!r} is not known: no number like 05.10")
    needs = known.lacks(platform, baseline)
    if needs:
        words = []
        if platform in needs:
            words.append(f"satellite {platform} is not known ({', '.join(known.satellites)} are)")
        if baseline in needs:
            series = [f"{number}.xx" if len(number) == 2 else number for number in known.baselines]
            words.append(f"processing baseline {baseline!r} is not known ({', '.join(series)} are)")
        error = fault("; ".join(words))
        raise Unrecognised(error.path, error.fault, needs)
    form = known.baseline(baseline)
    assert form is not None
    return known.satellites[platform], form


def product(package: Package, known: Known) -> Product:
    """Find and read the product XML at the root of the package.

    Raises
    ------
    L1CError
        If there is none, it is malformed or of another level.
    Unrecognised
        If it is of an unknown satellite or baseline.
    """
    document = _find_product(package)
    if (kind := document.text("PRODUCT_TYPE")) != "S2MSI1C":
        raise document.fault(f"PRODUCT_TYPE is {kind!r}, not S2MSI1C")
    platform = "S2" + document.match("SPACECRAFT_NAME", r"Sentinel-2([A-Z])")[1]
    baseline = document.text("PROCESSING_BASELINE")
    satellite, form = recognise(document.fault, platform, baseline, known)
    usable, unusable = _granules(document)
    datatake = document.element("Datatake").get("datatakeIdentifier", "")
    orbit = re.fullmatch(r"GS2[A-Z]_\d{8}T\d{6}_(\d{6})_N\d\d\.\d\d", datatake)
    if not orbit:
        raise document.fault(f"datatakeIdentifier is {datatake[:80]!r}")
    if (other := datatake[1:4]) != platform:  # some tools write the one and not the other
        package.checksums.doubt(f"SPACECRAFT_NAME says {platform}, the datatake {other}")
    offset = dict.fromkeys(BANDS, 0.0)
    if form.offset:
        offset = document.per_band("RADIO_ADD_OFFSET", "band_id")
    elif document.root.find(".//RADIO_ADD_OFFSET") is not None:
        raise document.fault(f"offsets of the counts in baseline {baseline}, which has none")
    quantification = document.number(document.element("QUANTIFICATION_VALUE"))
    sensing = document.time("DATATAKE_SENSING_START")
    _check_distance(document, sensing)
    generation = document.time("GENERATION_TIME")
    discriminator = re.match(r"S2[A-Z]_MSIL1C_.+_(\d{8}T\d{6})(\.SAFE)?$", document.text("PRODUCT_URI"))
    special = {"NODATA": NO_DATA_COUNTS, "SATURATED": SATURATED_COUNTS}
    for element in document.root.iterfind(".//Special_Values/SPECIAL_VALUE_INDEX"):
        special[element.getparent().findtext("SPECIAL_VALUE_TEXT", "").strip()] = int(document.number(element))
    return Product(
        satellite=satellite,
        datatake_sensing=sensing,
        orbit=int(orbit[1]),
        relative_orbit=int(document.match("SENSING_ORBIT_NUMBER", r"\d{1,3}")[0]),
        baseline=baseline,
        form=form,
        generation=generation,
        discriminator=discriminator[1] if discriminator else f"{generation:%Y%m%dT%H%M%S}",
        quantification=quantification,
        offset=offset,
        solar_irradiance=document.per_band("SOLAR_IRRADIANCE", "bandId"),
        physical_gain=(
            document.per_band("PHYSICAL_GAINS", "bandId") if document.root.find(".//PHYSICAL_GAINS") is not None else {}
        ),
        special=special,
        granules=tuple(usable),
        unusable=tuple(unusable),
    )


def spectral_responses(package: Package) -> dict[str, Response]:
    """The spectral responses of the satellite, which the product XML carries; none where it has none.

    Raises
    ------
    L1CError
        If the product XML can't be read, or has a response that is not of numbers or not of the length that it says.
    """
    document = _find_product(package)
    found = {}
    for element in document.root.iter("Spectral_Information"):
        band = document.band(element)
        said = [element.find(path) for path in RESPONSE]
        if any(one is None for one in said):
            continue
        first, last, step = (document.number(one) for one in said[:3])
        try:
            values = np.array((said[3].text or "").split(), float)
        except ValueError as error:
            raise document.fault(f"the spectral response of {band} is not of numbers ({error})") from error
        # Products of 2016 and 2017 lack values of B2 and B8, and don't say where.
        if abs(first + step * (len(values) - 1) - last) > step / 2:
            given = f"{len(values)} values every {step:g} nm from {first:g} to {last:g} nm"
            raise document.fault(f"the spectral response of {band} has {given}")
        found[band] = Response(first, step, values)
    return found


def _check_distance(document: _Document, sensing: datetime) -> None:
    """Note a factor of the sun's distance that is another date's; the counts are divided by it already."""
    for element in document.root.iterfind(".//Reflectance_Conversion/U"):
        value, right = document.number(element), limits.sun_distance_factor(sensing)
        if abs(value - right) > limits.DISTANCE_TOLERANCE:
            document.package.checksums.doubt(f"U is {value:.4f}, on {sensing:%Y-%m-%d} it is {right:.4f}")


def _find_product(package: Package) -> _Document:
    malformed = None
    for name in package.files():
        if not name.endswith(".xml") or name == "INSPIRE.xml":
            continue
        try:
            root = package.xml(name)
        except L1CError as error:
            malformed = malformed or error
            continue
        tag = etree.QName(root).localname
        if tag == "Level-1C_User_Product":
            return _Document(package, name, root)
        level = re.fullmatch(r"Level-(\d\w)_User_Product", tag)
        if level or tag == "Muscate_Metadata_Document":
            text = level[1] if level else "2A"
            raise L1CError(package.path, f"a Level-{text} product, not Level-1C ({name})")
    raise malformed or L1CError(package.path, "no product metadata (MTD_MSIL1C.xml) at its root")


def _granules(document: _Document) -> tuple[list[Listed], list[L1CError]]:
    """The granules that are listed, each once, and the faults of those that can't be used."""
    found: dict[str, Listed] = {}
    faults: list[L1CError] = []
    for entry in document.root.iter("Granule", "Granules"):  # Granules: before PSD 14
        try:
            granule = _granule(document, entry)
        except L1CError as error:
            faults.append(error)
        else:
            found.setdefault(granule.folder, granule)
    if not found:
        raise faults[0] if faults else document.fault("lists no granule")
    return list(found.values()), faults


def _granule(document: _Document, entry: Any) -> Listed:
    ident = entry.get("granuleIdentifier", "")
    listed = [(e.text or "").strip() for e in entry.iter("IMAGE_FILE", "IMAGE_ID")]
    images: dict[str, str] = {}
    for item in listed:
        match = re.search(r"_(B\w\w)(\.jp2)?$", item)
        if match and match[1] in BY_L1C:
            path = item if "/" in item else f"GRANULE/{ident}/IMG_DATA/{item}"
            path = path if path.endswith(".jp2") else f"{path}.jp2"
            images[BY_L1C[match[1]].name] = inside(document.package, document.name, path)
    if missing := [b for b in BANDS if b not in images]:
        raise document.fault(f"granule {ident} lists no image of {', '.join(missing)}")
    folders = {str(PurePosixPath(p).parent.parent) for p in images.values()}
    if len(folders) != 1:
        raise document.fault(f"granule {ident} has its images in {len(folders)} folders")
    return Listed(folders.pop(), images, ident, entry.get("datastripIdentifier", ""))


def find_tile(package: Package, folder: str) -> str:
    """Name of the one XML file of a granule's folder.

    Raises
    ------
    L1CError
        If there is none, or several.
    """
    names = [n for n in package.files(folder) if n.endswith(".xml")]
    if len(names) != 1:
        text = "missing (no tile metadata)" if not names else f"one of {len(names)} XML files, one expected"
        raise package.fault(names[0] if names else f"{folder}/MTD_TL.xml", text)
    return names[0]


def tile(package: Package, name: str, form: Masks) -> Tile:
    """Read the tile XML, without its angles; `form` is that of the masks.

    Raises
    ------
    L1CError
        If it is malformed, incomplete, or contradicts itself.
    """
    document = _tile_document(package, name)
    ident = document.match("TILE_ID", r".+_T(\d\d[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])_N\d\d\.\d\d")[1]
    epsg = int(document.match("HORIZONTAL_CS_CODE", r"EPSG:(32[67]\d\d)")[1])
    zone = (32600 if ident[2] >= "N" else 32700) + int(ident[:2])
    if epsg != zone:
        raise document.fault(f"tile {ident} lies in EPSG:{zone}, the metadata says EPSG:{epsg}")
    sizes = {}
    for size in document.root.iterfind(".//Tile_Geocoding/Size"):
        values = [document.number(e) for e in size]
        if len(values) == 2:
            sizes[int(size.get("resolution", "0"))] = (int(values[0]), int(values[1]))
    if missing := {b.resolution for b in BANDS.values()} - set(sizes):
        raise document.fault(f"no size at {', '.join(f'{r} m' for r in sorted(missing))}")
    kinds = MASKS[form]
    masks: dict[tuple[str, str], str] = {}
    folder = PurePosixPath(name).parent
    for element in document.root.iterfind(".//MASK_FILENAME"):
        kind, text = element.get("type", ""), (element.text or "").strip()
        if kind in kinds:
            path = text if "/" in text else f"{folder}/QI_DATA/{text}"
            band = document.band(element)
            if (named := re.search(r"_(B\d[\dA])(?:_\w+)?\.\w+$", path)) and named[1] != BANDS[band].l1c:
                raise document.fault(f"names {PurePosixPath(path).name} as {kind} of {BANDS[band].l1c}")
            masks[kind, band] = inside(package, name, path)
    if lacking := [f"{k} of {b}" for k in kinds for b in BANDS if (k, b) not in masks]:
        raise document.fault(f"lists no {lacking[0]}")
    return Tile(
        tile=ident,
        sensing=document.time("SENSING_TIME"),
        datastrip=_datastrip(document),
        datastrip_id=document.text("DATASTRIP_ID"),
        simulated=document.root.findtext(".//ARCHIVING_CENTRE", "").strip() == SIMULATION_CENTRE,
        epsg=epsg,
        west=document.number(document.element("Tile_Geocoding/Geoposition/ULX")),
        north=document.number(document.element("Tile_Geocoding/Geoposition/ULY")),
        sizes=sizes,
        masks=masks,
    )


def _datastrip(document: _Document) -> datetime:
    start = document.match("DATASTRIP_ID", r".+_S(\d{8}T\d{6})_N\d\d\.\d\d")[1]
    try:
        return datetime.strptime(start, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise document.fault(f"DATASTRIP_ID of {start}, not a time") from None


def _tile_document(package: Package, name: str) -> _Document:
    root = package.xml(name)
    if etree.QName(root).localname != "Level-1C_Tile_ID":
        raise package.fault(name, f"not the metadata of a Level-1C tile ({etree.QName(root).localname})")
    return _Document(package, name, root)


def angles(package: Package, name: str) -> Angles:
    """Sun and view angles of a tile XML. A band seen at none of the nodes has no detector.

    Raises
    ------
    L1CError
        If a grid is missing, of another size or step than the others, or not of numbers.
    """
    document = _tile_document(package, name)
    grids = document.element("Sun_Angles_Grid")
    sun_zenith, step = _angle_grid(document, grids, "Zenith")
    sun_azimuth, _ = _angle_grid(document, grids, "Azimuth", sun_zenith.shape, step)
    if not (np.isfinite(sun_zenith).all() and np.isfinite(sun_azimuth).all()):
        raise document.fault("NaN among the sun angles")
    document.refuse(limits.grid_fault("sun", sun_zenith, sun_azimuth))
    zenith: dict[str, dict[int, NDArray[np.float32]]] = {b: {} for b in BANDS}
    azimuth: dict[str, dict[int, NDArray[np.float32]]] = {b: {} for b in BANDS}
    for grids in document.root.iterfind(".//Viewing_Incidence_Angles_Grids"):
        band, detector = document.band(grids), grids.get("detectorId", "")
        if not detector.isdecimal() or len(detector) > 2 or not 1 <= int(detector) <= LAST_DETECTOR:
            raise document.fault(f"view angles of detector {detector[:20]!r}")
        zenith[band][int(detector)], _ = _angle_grid(document, grids, "Zenith", sun_zenith.shape, step)
        azimuth[band][int(detector)], _ = _angle_grid(document, grids, "Azimuth", sun_zenith.shape, step)
        document.refuse(limits.grid_fault("view", zenith[band][int(detector)], azimuth[band][int(detector)]))
    if not any(zenith.values()):
        raise document.fault("no Viewing_Incidence_Angles_Grids")
    mean_view = {document.band(e): _pair(document, e) for e in document.root.iter("Mean_Viewing_Incidence_Angle")}
    if missing := [b for b in BANDS if b not in mean_view]:
        raise document.fault(f"no mean view angle of {', '.join(missing)}")
    mean_sun = _pair(document, document.element("Mean_Sun_Angle"))
    found = Angles(
        west=document.number(document.element("Tile_Geocoding/Geoposition/ULX")),
        north=document.number(document.element("Tile_Geocoding/Geoposition/ULY")),
        step=step,
        sun_zenith=sun_zenith,
        sun_azimuth=sun_azimuth,
        view_zenith=zenith,
        view_azimuth=azimuth,
        mean_sun=mean_sun,
        mean_view={b: mean_view[b] for b in BANDS},
    )
    document.refuse(limits.means_fault(mean_sun, mean_view, found))
    return found


def _pair(document: _Document, element: Any) -> tuple[float, float]:
    values = [element.find(tag) for tag in ("ZENITH_ANGLE", "AZIMUTH_ANGLE")]
    if any(v is None for v in values):
        raise document.fault(f"{element.tag} without zenith or azimuth")
    return document.number(values[0]), document.number(values[1])


def _angle_grid(
    document: _Document, grids: Any, kind: str, shape: tuple[int, ...] | None = None, step: float | None = None
) -> tuple[NDArray[np.float32], float]:
    grid = grids.find(kind)
    steps = [] if grid is None else [grid.find(tag) for tag in ("COL_STEP", "ROW_STEP")]
    if not steps or any(s is None for s in steps):
        raise document.fault(f"{grids.tag} without {kind} or its steps")
    col_step, row_step = (document.number(s) for s in steps)
    rows = [(v.text or "").split() for v in grid.iter("VALUES")]
    try:
        values = np.array(rows, np.float32)
    except ValueError as error:
        raise document.fault(f"{grids.tag} {kind} is not a grid of numbers ({error})") from error
    odd = values.ndim != 2 or values.size == 0 or max(values.shape) > limits.NODES or np.isinf(values).any()
    if odd or col_step != row_step:
        raise document.fault(f"{grids.tag} {kind}: a grid {values.shape} with steps of {col_step:g} and {row_step:g} m")
    if shape is not None and (values.shape != shape or col_step != step):
        raise document.fault(f"{grids.tag} {kind}: {values.shape} values, the sun has {shape}")
    return values, col_step
