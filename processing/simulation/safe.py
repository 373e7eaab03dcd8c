"""Writes a Level-1C product in the compact SAFE format, baseline 05.10: the parts that processors read."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from processing.bands import BANDS
from processing.l1c import SIMULATION_CENTRE
from processing.scene import Angles, Grid
from processing.simulation import sunlight
from processing.simulation.angles import STEP

BASELINE = "05.10"
#: Added to the counts; the metadata carry it with the other sign.
OFFSET = 1000
QUANTIFICATION = 10_000
#: Solar irradiance by band index, from the metadata of real products. [W m-2 um-1]
IRRADIANCE = {
    "S2A": (
        1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92, 367.15, 245.59, 85.25,
    ),
    "S2B": (
        1874.30, 1959.75, 1824.93, 1512.79, 1425.78, 1291.13, 1175.57, 1041.28, 953.93, 817.58, 365.41, 247.08, 87.75,
    ),
}  # fmt: skip
_PSD = "https://psd-14.sentinel2.eo.esa.int/PSD"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass
class Safe:
    """One product: its names, and the bytes of its files as they come.

    Attributes
    ----------
    platform, tile : str
    orbit, relative_orbit : int
    sensing : datetime
        Of the tile, UTC.
    grid : Grid
        Of the image, whole or a part of the tile.
    angles : Angles
    cloud_percent : float
    """

    platform: str
    tile: str
    orbit: int
    relative_orbit: int
    sensing: datetime
    grid: Grid
    angles: Angles
    cloud_percent: float
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.datatake = self.sensing - timedelta(seconds=309)
        self.datastrip = self.sensing - timedelta(seconds=257)
        self.created = self.sensing + timedelta(seconds=7200)
        station = f"2{self.platform[-1]}PS"
        take, strip, made = (f"{t:%Y%m%dT%H%M%S}" for t in (self.datatake, self.datastrip, self.created))
        n = f"N{BASELINE}"
        self.name = (
            f"{self.platform}_MSIL1C_{take}_{n.replace('.', '')}_R{self.relative_orbit:03d}_T{self.tile}_{made}.SAFE"
        )
        self.granule = f"GRANULE/L1C_T{self.tile}_A{self.orbit:06d}_{strip}"
        self.strip = f"DATASTRIP/DS_{station}_{made}_S{strip}"
        self.stem = f"T{self.tile}_{take}"
        self.datatake_id = f"G{self.platform}_{take}_{self.orbit:06d}_{n}"
        self.granule_id = f"{self.platform}_OPER_MSI_L1C_TL_{station}_{made}_A{self.orbit:06d}_T{self.tile}_{n}"
        self.strip_id = f"{self.platform}_OPER_MSI_L1C_DS_{station}_{made}_S{strip}_{n}"
        self._same: dict[tuple[str, int], bytes] = {}

    def add_image(self, band: str, counts: NDArray[np.uint16]) -> None:
        """Counts of a band, (row, col) uint16."""
        b = BANDS[band]
        self.files[f"{self.granule}/IMG_DATA/{self.stem}_{b.l1c}.jp2"] = jp2(counts, self.grid, b.resolution)

    def add_masks(self, detectors: Mapping[int, NDArray[np.uint8]], classes: NDArray[np.uint8]) -> None:
        """Detector footprints by resolution, the same for all bands; flags of quality, none raised; cloud classes."""
        for b in BANDS.values():
            r = b.resolution
            for kind, make in (
                ("DETFOO", lambda r: detectors[r]),
                ("QUALIT", lambda r: np.zeros((8, *detectors[r].shape), np.uint8)),
            ):
                if (kind, r) not in self._same:
                    self._same[kind, r] = jp2(make(r), self.grid, r)
                self.files[self._mask(kind, b.l1c)] = self._same[kind, r]
        self.files[self._mask("CLASSI", "B00")] = jp2(classes, self.grid, 60)

    def _mask(self, kind: str, band: str) -> str:
        return f"{self.granule}/QI_DATA/MSK_{kind}_{band}.jp2"

    def write(self, out: Path, *, zipped: bool) -> Path:
        """Write everything beside its place and move it there whole.

        Returns
        -------
        Path
            ``NAME.SAFE``, or ``NAME.zip`` with it inside. One of the same name is replaced.
        """
        self.files[f"{self.granule}/MTD_TL.xml"] = self._tile_xml().encode()
        self.files["MTD_MSIL1C.xml"] = self._product_xml().encode()
        self.files[f"{self.strip}/MTD_DS.xml"] = self._strip_xml().encode()
        self.files["manifest.safe"] = self._manifest().encode()
        out.mkdir(parents=True, exist_ok=True)
        target = out / (self.name.replace(".SAFE", ".zip") if zipped else self.name)
        aside = out / f".{target.name}.part"
        _remove(aside)
        try:
            if zipped:
                with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
                    for name, content in self.files.items():
                        moment = self.created.timetuple()[:6]
                        archive.writestr(zipfile.ZipInfo(f"{self.name}/{name}", moment), content)
            else:
                for name, content in self.files.items():
                    path = aside / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            _remove(target)
            os.replace(aside, target)
        finally:
            _remove(aside)
        return target

    def _product_xml(self) -> str:
        images = "".join(
            f"<IMAGE_FILE>{self.granule}/IMG_DATA/{self.stem}_{b.l1c}</IMAGE_FILE>\n" for b in BANDS.values()
        )
        irradiance = IRRADIANCE[self.platform]
        offsets = "".join(
            f'<RADIO_ADD_OFFSET band_id="{b.index}">{-OFFSET}</RADIO_ADD_OFFSET>\n' for b in BANDS.values()
        )
        suns = "".join(
            f'<SOLAR_IRRADIANCE bandId="{b.index}" unit="W/m²/µm">{irradiance[b.index]}</SOLAR_IRRADIANCE>\n'
            for b in BANDS.values()
        )
        spectral = "".join(
            f'<Spectral_Information bandId="{b.index}" physicalBand="{b.name}"><RESOLUTION>{b.resolution}</RESOLUTION>'
            f'<Wavelength><CENTRAL unit="nm">{b.centre}</CENTRAL></Wavelength></Spectral_Information>\n'
            for b in BANDS.values()
        )
        g = self.grid
        lon, lat = Transformer.from_crs(g.crs, "EPSG:4326", always_xy=True).transform(
            [g.west, g.east, g.east, g.west, g.west], [g.north, g.north, g.south, g.south, g.north]
        )
        ring = " ".join(f"{b:.9f} {a:.9f}" for a, b in zip(lon, lat, strict=True))
        start = _iso(self.datatake)
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_User_Product xmlns:n1="{_PSD}/User_Product_Level-1C.xsd" xmlns:xsi="{_XSI}">
<n1:General_Info>
<Product_Info>
<PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
<PRODUCT_STOP_TIME>{start}</PRODUCT_STOP_TIME>
<PRODUCT_URI>{self.name}</PRODUCT_URI>
<PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
<PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
<PROCESSING_BASELINE>{BASELINE}</PROCESSING_BASELINE>
<GENERATION_TIME>{_iso(self.created)}</GENERATION_TIME>
<Datatake datatakeIdentifier="{self.datatake_id}">
<SPACECRAFT_NAME>Sentinel-{self.platform[1:]}</SPACECRAFT_NAME>
<DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
<DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START>
<SENSING_ORBIT_NUMBER>{self.relative_orbit}</SENSING_ORBIT_NUMBER>
<SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
</Datatake>
<Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
<Product_Organisation><Granule_List>
<Granule datastripIdentifier="{self.strip_id}" granuleIdentifier="{self.granule_id}" imageFormat="JPEG2000">
{images}</Granule>
</Granule_List></Product_Organisation>
</Product_Info>
<Product_Image_Characteristics>
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
<QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>
<Radiometric_Offset_List>
{offsets}</Radiometric_Offset_List>
<Reflectance_Conversion><U>{sunlight.distance_factor(self.sensing):.12f}</U>
<Solar_Irradiance_List>
{suns}</Solar_Irradiance_List>
</Reflectance_Conversion>
<Spectral_Information_List>
{spectral}</Spectral_Information_List>
<REFERENCE_BAND>3</REFERENCE_BAND>
</Product_Image_Characteristics>
</n1:General_Info>
<n1:Geometric_Info>
<Product_Footprint><Product_Footprint><Global_Footprint><EXT_POS_LIST>{ring}</EXT_POS_LIST></Global_Footprint></Product_Footprint></Product_Footprint>
</n1:Geometric_Info>
<n1:Quality_Indicators_Info>
<Cloud_Coverage_Assessment>{self.cloud_percent:.6f}</Cloud_Coverage_Assessment>
</n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""

    def _tile_xml(self) -> str:
        g, a = self.grid, self.angles
        zone = int(g.crs[-2:])
        hemisphere = "N" if g.crs[5:8] == "326" else "S"
        sizes = positions = ""
        for r in (10, 20, 60):
            rows, cols = g.shape(r)
            sizes += f'<Size resolution="{r}"><NROWS>{rows}</NROWS><NCOLS>{cols}</NCOLS></Size>\n'
            positions += (
                f'<Geoposition resolution="{r}"><ULX>{g.west:.0f}</ULX><ULY>{g.north:.0f}</ULY>'
                f"<XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>\n"
            )
        views = "".join(
            f'<Viewing_Incidence_Angles_Grids bandId="{BANDS[band].index}" detectorId="{detector}">\n'
            f"{_angle_grid('Zenith', zenith)}{_angle_grid('Azimuth', a.view_azimuth[band][detector])}"
            "</Viewing_Incidence_Angles_Grids>\n"
            for band, detectors in a.view_zenith.items()
            for detector, zenith in detectors.items()
        )
        means = "".join(
            f'<Mean_Viewing_Incidence_Angle bandId="{BANDS[band].index}">{_direction(z, az)}'
            "</Mean_Viewing_Incidence_Angle>\n"
            for band, (z, az) in a.mean_view.items()
        )
        masks = "".join(
            f'<MASK_FILENAME bandId="{b.index}" type="MSK_{kind}">{self._mask(kind, b.l1c)}</MASK_FILENAME>\n'
            for b in BANDS.values()
            for kind in ("DETFOO", "QUALIT")
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_Tile_ID xmlns:n1="{_PSD}/S2_PDI_Level-1C_Tile_Metadata.xsd" xmlns:xsi="{_XSI}">
<n1:General_Info>
<TILE_ID metadataLevel="Brief">{self.granule_id}</TILE_ID>
<DATASTRIP_ID metadataLevel="Standard">{self.strip_id}</DATASTRIP_ID>
<DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
<SENSING_TIME metadataLevel="Standard">{_iso(self.sensing)}</SENSING_TIME>
<Archiving_Info metadataLevel="Expertise">
<ARCHIVING_CENTRE>{SIMULATION_CENTRE}</ARCHIVING_CENTRE>
<ARCHIVING_TIME>{_iso(self.created)}</ARCHIVING_TIME>
</Archiving_Info>
</n1:General_Info>
<n1:Geometric_Info>
<Tile_Geocoding metadataLevel="Brief">
<HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}{hemisphere}</HORIZONTAL_CS_NAME>
<HORIZONTAL_CS_CODE>{g.crs}</HORIZONTAL_CS_CODE>
{sizes}{positions}</Tile_Geocoding>
<Tile_Angles metadataLevel="Standard">
<Sun_Angles_Grid>
{_angle_grid("Zenith", a.sun_zenith)}{_angle_grid("Azimuth", a.sun_azimuth)}</Sun_Angles_Grid>
<Mean_Sun_Angle>{_direction(*a.mean_sun)}</Mean_Sun_Angle>
{views}<Mean_Viewing_Incidence_Angle_List>
{means}</Mean_Viewing_Incidence_Angle_List>
</Tile_Angles>
</n1:Geometric_Info>
<n1:Quality_Indicators_Info metadataLevel="Standard">
<Image_Content_QI>
<CLOUDY_PIXEL_PERCENTAGE>{self.cloud_percent:.6f}</CLOUDY_PIXEL_PERCENTAGE>
<DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
</Image_Content_QI>
<Pixel_Level_QI geometry="FULL_RESOLUTION">
{masks}<MASK_FILENAME type="MSK_CLASSI">{self._mask("CLASSI", "B00")}</MASK_FILENAME>
</Pixel_Level_QI>
</n1:Quality_Indicators_Info>
</n1:Level-1C_Tile_ID>
"""

    def _strip_xml(self) -> str:
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_DataStrip_ID xmlns:n1="{_PSD}/S2_PDI_Level-1C_Datastrip_Metadata.xsd" xmlns:xsi="{_XSI}">
<n1:General_Info>
<Datatake_Info datatakeIdentifier="{self.datatake_id}" metadataLevel="Brief">
<SPACECRAFT_NAME>Sentinel-{self.platform[1:]}</SPACECRAFT_NAME>
<DATATAKE_SENSING_START>{_iso(self.datatake)}</DATATAKE_SENSING_START>
<SENSING_ORBIT_NUMBER>{self.relative_orbit}</SENSING_ORBIT_NUMBER>
</Datatake_Info>
<Processing_Info metadataLevel="Expertise">
<PROCESSING_BASELINE>{BASELINE}</PROCESSING_BASELINE>
<PROCESSING_CENTER>{SIMULATION_CENTRE}</PROCESSING_CENTER>
</Processing_Info>
</n1:General_Info>
</n1:Level-1C_DataStrip_ID>
"""

    def _manifest(self) -> str:
        objects = "".join(
            f'<dataObject ID="object_{i}"><byteStream mimeType="application/octet-stream" size="{len(content)}">'
            f'<fileLocation locatorType="URL" href="./{name}"/>'
            f'<checksum checksumName="SHA3-256">{hashlib.sha3_256(content).hexdigest()}</checksum>'
            "</byteStream></dataObject>\n"
            for i, (name, content) in enumerate(sorted(self.files.items()), 1)
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">
<dataObjectSection>
{objects}</dataObjectSection>
</xfdu:XFDU>
"""


def _iso(t: datetime) -> str:
    return f"{t:%Y-%m-%dT%H:%M:%S}.{t.microsecond // 1000:03d}Z"


def _direction(zenith: float, azimuth: float) -> str:
    return (
        f'<ZENITH_ANGLE unit="deg">{zenith:.9f}</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">{azimuth:.9f}</AZIMUTH_ANGLE>'
    )


def _angle_grid(name: str, values: NDArray[np.floating]) -> str:
    rows = "".join(
        "<VALUES>" + " ".join("NaN" if v != v else f"{v:.6g}" for v in row) + "</VALUES>\n" for row in values.tolist()
    )
    return (
        f'<{name}><COL_STEP unit="m">{STEP:.0f}</COL_STEP><ROW_STEP unit="m">{STEP:.0f}</ROW_STEP>'
        f"<Values_List>\n{rows}</Values_List></{name}>\n"
    )


def jp2(values: NDArray[Any], grid: Grid, resolution: int) -> bytes:
    """A lossless, georeferenced JPEG 2000 of (row, col) or (band, row, col) values."""
    bands = values.reshape(-1, *values.shape[-2:])
    profile = {
        "driver": "JP2OpenJPEG",
        "dtype": bands.dtype.name,
        "count": len(bands),
        "height": bands.shape[1],
        "width": bands.shape[2],
        "crs": CRS.from_string(grid.crs),
        "transform": rasterio.Affine(*grid.transform(resolution)),
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "YCBCR420": "NO",
    }
    with MemoryFile(ext=".jp2") as memory:
        with memory.open(**profile) as image:
            image.write(bands)
        return bytes(memory.read())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
