"""The two XML documents of a product, with the keys of METADATA_MUSCATE 1.16, and the way back.

What MUSCATE's format has no place for (layers whose step is not in the version, origin of the ancillary data,
simulated input, exact statistics) stands in one element of our own, ``Quality_Informations/Centre_Informations``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
from lxml import etree
from numpy.typing import NDArray
from rasterio.warp import transform

from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS, long_name
from processing.masks import OF_TERRAIN, Geophysical, Interpolated
from processing.product.names import series
from processing.scene import L2A, Grid, Mode, Scene
from processing.versions import VERSIONS, parameters

#: Nature in the metadata of each reflectance raster, and of each band of ATB.
REFLECTANCES = {"SRE": "Surface_Reflectance", "FRE": "Flat_Reflectance"}
ATMOSPHERE = ("Water_Vapor_Content", "Aerosol_Optical_Thickness")
#: What each band of UNC is the standard deviation of: the AOT, and the reflectance in a band.
UNCERTAINTIES = ("Aerosol_Optical_Thickness", *DISTRIBUTED)
INTERPOLATED = {
    Interpolated.WATER_VAPOUR: "WVC_Interpolation",
    Interpolated.AOT: "AOT_Interpolation",
    Interpolated.VEIL: "Veil_Correction",
}
GEOPHYSICAL = {
    Geophysical.WATER: "Water",
    Geophysical.CLOUD: "Cloud",
    Geophysical.SNOW: "Snow",
    Geophysical.CLOUD_SHADOW: "Cloud_Shadow",
    Geophysical.TOPOGRAPHIC_SHADOW: "Topography_Shadow",
    Geophysical.HIDDEN: "Hidden_Surface",
    Geophysical.SUN_TOO_LOW: "Sun_Too_Low",
    Geophysical.TANGENT_SUN: "Tangent_Sun",
}
FLAGS = {
    "rain": "RainDetected",
    "hot_spot": "HotSpotDetected",
    "sun_glint": "SunGlintDetected",
    "cirrus": "CirrusDetected",
}
MODES: dict[Mode, str] = {"init": "INIT_MODE", "nominal": "NOMINAL_MODE", "backward": "BACKWARD_MODE"}


def document(product: str, l2a: L2A, scene: Scene, produced: datetime, files: Mapping[str, str]) -> bytes:
    """The metadata of a product, ``MTD_ALL.xml``.

    Parameters
    ----------
    product : str
        Its identifier.
    files : mapping of key to path
        Of all files of the product, relative to it: ``SRE_B2``, ``CLM_R1``, ``DTF_R1-D05``, ``QKL_ALL``, ``JPI_ALL``.
    """
    root = etree.Element("Muscate_Metadata_Document")
    identification = _add(root, "Metadata_Identification")
    _add(identification, "METADATA_FORMAT", "METADATA_MUSCATE", version="1.16")
    _add(identification, "METADATA_PROFILE", "USER")
    _add(identification, "METADATA_INFORMATION", "EXPERT")
    dataset = _add(root, "Dataset_Identification")
    _add(dataset, "IDENTIFIER", f"{series(scene.platform, scene.sensing, scene.tile)}_C")
    _add(dataset, "AUTHORITY", "muscate")
    _add(dataset, "PRODUCER", "muscate")
    _add(dataset, "PROJECT", "SENTINEL2")
    _add(dataset, "GEOGRAPHICAL_ZONE", f"T{scene.tile}", type="Tile")
    _characteristics(root, product, l2a.version, scene, produced)
    _organisation(root, files, l2a.version)
    _geoposition(root, scene.grid)
    _geometry(root, scene)
    _radiometry(root, l2a.version, scene)
    _quality(root, product, l2a, scene, produced)
    _production(root, product, scene, produced)
    return _bytes(root)


def job(l2a: L2A, scene: Scene) -> bytes:
    """How the product was made, ``JPI_ALL.xml``: terrain, mode, version, parameters, seconds of each step."""
    root = etree.Element("JobProcessingInformations")
    terrain = _add(root, "MNT_Statistics")
    altitude = scene.ancillary.altitude
    for tag, value in (
        ("Min", np.nanmin(altitude)),
        ("Max", np.nanmax(altitude)),
        ("Average", np.nanmean(altitude, dtype=np.float64)),
        ("Standard_Deviation", np.nanstd(altitude, dtype=np.float64)),
    ):
        _add(terrain, tag, f"{value:.6g}", unit="m")
    flags = _add(root, "Processing_Flags_And_Modes_List")
    for key, text in (
        ("Processing_Mode", MODES[l2a.mode]),
        ("Adjacency_Effects_And_Slope_Correction", _bool(scene.ancillary.terrain is not None)),
        ("Validity_Flag", "L2VALD"),
        ("Processing_Version", l2a.version),
        ("Parameters_SHA256", parameters(l2a.version).digest),
        ("Level_1C", scene.identifier),
        ("Level_1C_Baseline", scene.baseline),
        ("Simulated", _bool(scene.simulated)),
    ):
        flag = _add(flags, "Processing_Flags_And_Modes")
        _add(flag, "Key", key)
        _add(flag, "Value", text)
    durations = _add(root, "Step_Duration_List")
    for step, seconds in l2a.seconds.items():
        _add(durations, "STEP_DURATION", f"{seconds:.3f}", name=step, unit="s")
    return _bytes(root)


def _characteristics(root: etree._Element, product: str, version: str, scene: Scene, produced: datetime) -> None:
    block = _add(root, "Product_Characteristics")
    _add(block, "PRODUCT_ID", product)
    _add(block, "ACQUISITION_DATE", _moment(scene.sensing))
    _add(block, "PRODUCTION_DATE", _moment(produced))
    _add(block, "PRODUCT_VERSION", VERSIONS[version].number)
    _add(block, "PRODUCT_LEVEL", "L2A")
    _add(block, "PLATFORM", long_name(scene.platform))
    _add(block, "ORBIT_NUMBER", str(scene.orbit), type="Orbit")
    acquired = _add(block, "UTC_Acquisition_Range")
    _add(acquired, "MEAN", _moment(scene.sensing))
    _add(acquired, "DATE_PRECISION", "0.001", unit="s")
    _bands(block, "Band_Global_List", DISTRIBUTED)
    groups = _add(block, "Band_Group_List")
    for group, bands in GROUPS.items():
        _bands(_add(groups, "Group", group_id=group), "Band_List", bands)


def _bands(parent: etree._Element, tag: str, bands: tuple[str, ...]) -> None:
    listed = _add(parent, tag, count=str(len(bands)))
    for band in bands:
        _add(listed, "BAND_ID", band)


def _organisation(root: etree._Element, files: Mapping[str, str], version: str) -> None:
    """Every file by its nature. All natures are listed, as readers want them: ``Absent_List`` tells which are empty."""
    block = _add(_add(root, "Product_Organisation"), "Muscate_Product")
    _add(block, "QUICKLOOK", files["QKL_ALL"], bands_id="B4,B3,B2")
    images = _add(block, "Image_List")
    for kind, nature in REFLECTANCES.items():
        bands = [(files[f"{kind}_{b}"], {"band_id": b}) for b in DISTRIBUTED if f"{kind}_{b}" in files]
        _rasters(images, "Image", nature, "int16", bands)
    for number, nature in enumerate(ATMOSPHERE, 1):
        _rasters(images, "Image", nature, "byte", _groups(files, "ATB", band_number=str(number)))
    for number, name in enumerate(UNCERTAINTIES, 1):
        attributes = {"band_number": str(number)} | ({"band_id": name} if name in BANDS else {})
        nature = "Surface_Reflectance_Uncertainty" if name in BANDS else f"{name}_Uncertainty"
        _rasters(images, "Image", nature, "byte", _groups(files, "UNC", **attributes))
    masks = _add(block, "Mask_List")

    def mask(nature: str, listed: Iterable[tuple[str, dict[str, str]]]) -> None:
        _rasters(masks, "Mask", nature, "byte", listed)

    for interpolated, nature in INTERPOLATED.items():
        if interpolated is Interpolated.VEIL and not parameters(version).veil_range:
            continue
        mask(nature, _groups(files, "IAB", bit_number=_number(interpolated)))
    mask("Detailed_Cloud", _groups(files, "CLM"))
    mask("Defective_Pixel", _bits(files, "DFP"))
    mask("Detector_Footprint", _footprints(files))
    mask("Edge", _groups(files, "EDG"))
    mask("Saturation", _bits(files, "SAT"))
    for geophysical, nature in GEOPHYSICAL.items():
        mask(nature, _groups(files, "MG2", bit_number=_number(geophysical)))
    data = _add(_add(block, "Data_List"), "Data")
    properties = _add(data, "Data_Properties")
    _add(properties, "NATURE", "Job_Processing_Informations_File")
    _add(properties, "FORMAT", "application/xml")
    _add(_add(data, "Data_File_List"), "DATA_FILE", files["JPI_ALL"], group_id="ALL")


def _rasters(
    parent: etree._Element, tag: str, nature: str, encoding: str, listed: Iterable[tuple[str, dict[str, str]]]
) -> None:
    listed = list(listed)
    if not listed:
        return
    block = _add(parent, tag)
    properties = _add(block, f"{tag}_Properties")
    _add(properties, "NATURE", nature)
    _add(properties, "FORMAT", "image/tiff")
    _add(properties, "ENCODING", encoding)
    _add(properties, "ENDIANNESS", "LittleEndian")
    _add(properties, "COMPRESSION", "DEFLATE")
    names = _add(block, f"{tag}_File_List")
    for path, attributes in listed:
        _add(names, f"{tag.upper()}_FILE", path, **attributes)


def _groups(files: Mapping[str, str], kind: str, **attributes: str) -> list[tuple[str, dict[str, str]]]:
    """One raster a group of bands."""
    return [(files[f"{kind}_{g}"], {"group_id": g, **attributes}) for g in GROUPS if f"{kind}_{g}" in files]


def _bits(files: Mapping[str, str], kind: str) -> list[tuple[str, dict[str, str]]]:
    """One bit a band, in the raster of its group."""
    return [
        (files[f"{kind}_{group}"], {"band_id": band, "bit_number": str(number)})
        for group, bands in GROUPS.items()
        if f"{kind}_{group}" in files
        for number, band in enumerate(bands, 1)
    ]


def _footprints(files: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """One raster a group and detector, one bit a band."""
    return [
        (path, {"detector_id": key[-2:], **attributes})
        for key in files
        if key.startswith("DTF_")
        for path, attributes in _bits({f"DTF_{key[4:6]}": files[key]}, "DTF")
    ]


def _number(bit: Interpolated | Geophysical) -> str:
    """The metadata counts bits from 1."""
    return str(bit.value.bit_length())


def _geoposition(root: etree._Element, grid: Grid) -> None:
    block = _add(root, "Geoposition_Informations")
    code = grid.crs.removeprefix("EPSG:")
    system = _add(block, "Coordinate_Reference_System")
    _add(system, "GEO_TABLES", "EPSG")
    horizontal = _add(system, "Horizontal_Coordinate_System")
    _add(horizontal, "HORIZONTAL_CS_TYPE", "PROJECTED")
    hemisphere = "N" if code.startswith("326") else "S"
    _add(horizontal, "HORIZONTAL_CS_NAME", f"WGS 84 / UTM zone {int(code[-2:])}{hemisphere}")
    _add(horizontal, "HORIZONTAL_CS_CODE", code)
    raster = _add(block, "Raster_CS")
    _add(raster, "RASTER_CS_TYPE", "CELL")
    _add(raster, "PIXEL_ORIGIN", "0")
    own = _add(block, "Metadata_CS")
    _add(own, "METADATA_CS_TYPE", "CELL")
    _add(own, "PIXEL_ORIGIN", "0")
    position = _add(block, "Geopositioning")
    points = _add(position, "Global_Geopositioning")
    corners = {
        "upperLeft": (grid.west, grid.north),
        "upperRight": (grid.east, grid.north),
        "lowerRight": (grid.east, grid.south),
        "lowerLeft": (grid.west, grid.south),
        "center": ((grid.west + grid.east) / 2, (grid.north + grid.south) / 2),
    }
    xs, ys = zip(*corners.values(), strict=True)
    longitudes, latitudes = transform(grid.crs, "EPSG:4326", xs, ys)
    for name, x, y, longitude, latitude in zip(corners, xs, ys, longitudes, latitudes, strict=True):
        point = _add(points, "Point", name=name)
        _add(point, "LAT", f"{latitude:.9g}")
        _add(point, "LON", f"{longitude:.9g}")
        _add(point, "X", f"{x:.12g}")
        _add(point, "Y", f"{y:.12g}")
    groups = _add(position, "Group_Geopositioning_List")
    for group, resolution in GROUP_RESOLUTION.items():
        rows, cols = grid.shape(resolution)
        each = _add(groups, "Group_Geopositioning", group_id=group)
        _add(each, "ULX", f"{grid.west:.12g}")
        _add(each, "ULY", f"{grid.north:.12g}")
        _add(each, "XDIM", str(resolution))
        _add(each, "YDIM", str(-resolution))
        _add(each, "NROWS", str(rows))
        _add(each, "NCOLS", str(cols))


def _geometry(root: etree._Element, scene: Scene) -> None:
    angles = scene.angles
    if (angles.west, angles.north) != (scene.grid.west, scene.grid.north):
        raise ValueError("the format's angle grids begin at the corner of the image, these do not")
    block = _add(root, "Geometric_Informations")
    means = _add(block, "Mean_Value_List")
    _direction(_add(means, "Sun_Angles"), *angles.mean_sun)
    views = _add(means, "Mean_Viewing_Incidence_Angle_List")
    for band in DISTRIBUTED:
        _direction(_add(views, "Mean_Viewing_Incidence_Angle", band_id=band), *angles.mean_view[band])
    grids = _add(block, "Angles_Grids_List")
    sun = _add(grids, "Sun_Angles_Grids")
    _angle_grid(sun, "Zenith", angles.step, angles.sun_zenith)
    _angle_grid(sun, "Azimuth", angles.step, angles.sun_azimuth)
    listed = _add(grids, "Viewing_Incidence_Angles_Grids_List")
    for band in DISTRIBUTED:
        detectors = _add(listed, "Band_Viewing_Incidence_Angles_Grids_List", band_id=band)
        for detector, zenith in sorted(angles.view_zenith[band].items()):
            one = _add(detectors, "Viewing_Incidence_Angles_Grids", detector_id=f"{detector:02d}")
            _angle_grid(one, "Zenith", angles.step, zenith)
            _angle_grid(one, "Azimuth", angles.step, angles.view_azimuth[band][detector])


def _direction(parent: etree._Element, zenith: float, azimuth: float) -> None:
    _add(parent, "ZENITH_ANGLE", _float(zenith), unit="deg")
    _add(parent, "AZIMUTH_ANGLE", _float(azimuth), unit="deg")


def _angle_grid(parent: etree._Element, tag: str, step: float, values: NDArray[np.float32]) -> None:
    block = _add(parent, tag, step_unit="m", values_unit="deg")
    _add(block, "COL_STEP", f"{step:g}")
    _add(block, "ROW_STEP", f"{step:g}")
    rows = _add(block, "Values_List")
    for row in values:
        _add(rows, "VALUES", " ".join(_float(value) for value in row))


def _radiometry(root: etree._Element, version: str, scene: Scene) -> None:
    numbers = parameters(version)
    block = _add(root, "Radiometric_Informations")
    _add(block, "REFLECTANCE_QUANTIFICATION_VALUE", str(numbers.reflectance_quantification))
    _add(block, "WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE", str(numbers.water_vapour_quantification))
    _add(block, "AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE", str(numbers.aot_quantification))
    special = _add(block, "Special_Values_List")
    _add(special, "SPECIAL_VALUE", str(numbers.no_data), name="nodata")
    _add(special, "SPECIAL_VALUE", "0", name="water_vapor_content_nodata")
    _add(special, "SPECIAL_VALUE", "0", name="aerosol_optical_thickness_nodata")
    listed = _add(block, "Spectral_Band_Informations_List")
    for name in DISTRIBUTED:
        band = BANDS[name]
        one = _add(listed, "Spectral_Band_Informations", band_id=name)
        if name in scene.physical_gain:
            coefficients = _add(_add(one, "Calibration_Coefficients_Lists"), "Native_Coefficients_List")
            _add(coefficients, "COEFFICIENT", f"{scene.physical_gain[name]:.9g}", name="PhysicalGain")
        _add(one, "SOLAR_IRRADIANCE", f"{scene.solar_irradiance[name]:g}", unit="W/m²/µm")
        _add(one, "SPATIAL_RESOLUTION", str(band.resolution), unit="m")
        wavelength = _add(one, "Wavelength")
        _add(wavelength, "MIN", f"{band.centre - band.width / 2:g}", unit="nm")
        _add(wavelength, "MAX", f"{band.centre + band.width / 2:g}", unit="nm")
        _add(wavelength, "CENTRAL", f"{band.centre:g}", unit="nm")


def _quality(root: etree._Element, product: str, l2a: L2A, scene: Scene, produced: datetime) -> None:
    block = _add(root, "Quality_Informations")
    listed = _add(_add(block, "Current_Product"), "Product_Quality_List", level="N2")
    quality = _add(listed, "Product_Quality")
    _source(_add(quality, "Source_Product"), product, scene, produced)
    indices = _add(quality, "Global_Index_List")
    _add(indices, "QUALITY_INDEX", f"{l2a.figures.cloud_percent:.0f}", name="CloudPercent")
    _add(indices, "QUALITY_INDEX", f"{l2a.figures.snow_percent:.0f}", name="SnowPercent")
    for flag, name in FLAGS.items():
        if flag in l2a.flags:
            _add(indices, "QUALITY_INDEX", _bool(l2a.flags[flag]), name=name)
    own = _add(block, "Centre_Informations")
    _add(own, "SIMULATED", _bool(scene.simulated))
    _add(own, "PROCESSING_MODE", MODES[l2a.mode])
    _add(own, "PARAMETERS_DIGEST", parameters(l2a.version).digest, type="SHA-256")
    statistics = _add(own, "Statistic_List")
    for name, value in asdict(l2a.figures).items():
        _add(statistics, "STATISTIC", repr(float(value)), name=name)
    absent = _add(own, "Absent_List", count=str(len(l2a.absent)))
    for name in sorted(l2a.absent):
        _add(absent, "ABSENT", why_absent(name, l2a), name=name)
    origins = _add(own, "Origin_List")
    for name, text in sorted(l2a.origin.items()):
        _add(origins, "ORIGIN", text, name=name)


def why_absent(name: str, l2a: L2A) -> str:
    """Why a layer that a Level-2A declares absent has no values."""
    if name in OF_TERRAIN:
        return "no terrain model"
    return f"step not run by version {VERSIONS[l2a.version].number} in {l2a.mode} mode"


def _production(root: etree._Element, product: str, scene: Scene, produced: datetime) -> None:
    block = _add(_add(_add(root, "Production_Informations"), "Processing_Jobs_List"), "Job")
    _add(block, "STEP_ID", "L2A")
    _add(block, "PRODUCER_NAME", "muscate")
    _add(block, "END_PRODUCTION_DATE", _moment(produced))
    products = _add(block, "Products_List")
    _source(_add(_add(products, "Inputs_List"), "PRODUCT"), scene.identifier, scene, None)
    _source(_add(_add(products, "Outputs_List"), "PRODUCT"), product, scene, produced)


def _source(parent: etree._Element, name: str, scene: Scene, produced: datetime | None) -> None:
    _add(parent, "PRODUCT_ID", name)
    _add(parent, "ACQUISITION_DATE", _moment(scene.sensing))
    if produced is not None:
        _add(parent, "PRODUCTION_DATE", _moment(produced))


def _add(parent: etree._Element, tag: str, text: str | None = None, /, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _moment(moment: datetime) -> str:
    """UTC to the millisecond, cut as in the identifier."""
    if moment.tzinfo is None:
        raise ValueError(f"time {moment} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _float(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.6g}"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _bytes(root: etree._Element) -> bytes:
    document: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return document
