"""Writes a Level-1C SAFE as an EOPF Zarr store of any generation, with the library `zarr` and not with our reader.

Structure of generation A: the consolidated metadata of a real store (EOPF-Explorer/data-model, Apache-2.0); of the
others: EOPF's product model S02MSIL1C and what is published of each. No quicklook is written.
"""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import rasterio
import zarr
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from zarr.codecs import ZstdCodec
from zarr.errors import UnstableSpecificationWarning, ZarrUserWarning

from processing.ancillary import CAMS_NAMES, CAMS_PARAMETER
from processing.bands import BANDS, BY_INDEX
from processing.l1c import Granule, granules, images
from processing.l1c.package import open_package
from processing.l1c.source import Safe

FLAGS = {
    "A": "ANC_LOST ANC_DEG MSI_LOST MSI_DEG QT_DEFECTIVE_PIXELS QT_NODATA_PIXELS QT_PARTIALLY_CORRECTED_PIXELS "
    "QT_SATURATED_PIXELS_L1A",
    "C": "anc_lost anc_deg msi_lost msi_deg defective_pixel no_data_pixel partially_corrected_pixel saturated_pixel",
}
U = "reflectance_correction_factor_from_the_{}_distance_variation_computed_using_the_acquisition_date"


@dataclass(frozen=True)
class Generation:
    """How one generation of the converter wrote.

    Attributes
    ----------
    format : int
        Of Zarr.
    chunks : mapping of resolution to int
        On a side; more than an image has means whole bands.
    lower : bool
        Keys and names of flags are lower case, detectors are texts, coordinates are float32.
    shards : bool
    consolidated : bool
    """

    format: int
    chunks: Mapping[int, int]
    lower: bool = False
    shards: bool = False
    consolidated: bool = True


GENERATIONS = {
    "A": Generation(2, {10: 1830, 20: 915, 60: 305}),
    "B": Generation(2, {10: 5490, 20: 5490, 60: 1830}),
    "C": Generation(3, {10: 1830, 20: 915, 60: 305}, lower=True, consolidated=False),
    "C'": Generation(3, {10: 1024, 20: 1024, 60: 1024}, lower=True, shards=True),
}


def write(safe: Path, out: Path, generation: str, *, zipped: bool = False) -> Path:
    """Write the one granule of a SAFE as a store beside others; it bears the SAFE's name.

    Returns
    -------
    Path
        ``NAME.zarr``, or ``NAME.zarr.zip`` with its content at the top.
    """
    (granule,) = granules(safe)
    source = granule._sources[0]
    assert isinstance(source, Safe)
    target = out / f"{granule.identifier}.zarr"
    shutil.rmtree(target, ignore_errors=True)
    with warnings.catch_warnings():  # names as texts and consolidation are not yet of the format's standard
        warnings.simplefilter("ignore", ZarrUserWarning)
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        _Writer(target, generation, granule, source).write()
    if not zipped:
        return target
    packed = out / f"{target.name}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in target.rglob("*") if p.is_file()):
            archive.write(path, str(path.relative_to(target)))
    shutil.rmtree(target)
    return packed


class _Writer:
    def __init__(self, target: Path, generation: str, granule: Granule, source: Safe) -> None:
        self.name, self.how = generation, GENERATIONS[generation]
        self.granule, self.source, self.target = granule, source, target
        self.root = zarr.open_group(str(target), mode="w", zarr_format=self.how.format)
        self.xml = open_package(granule.path).xml

    def write(self) -> None:
        for band in BANDS:
            self._band(band)
        for folder in ("measurements/reflectance", "quality/mask", "conditions/mask/detector_footprint"):
            for resolution in (10, 20, 60):
                self._coordinates(f"{folder}/r{resolution}m", resolution)
        self._angles()
        for name, layers in (("ecmwf", self._ecmwf()), ("cams", self._cams())):
            self._forecast(f"conditions/meteorology/{name}", layers)
        self.root.attrs.update(self._attributes())
        if self.how.consolidated:
            zarr.consolidate_metadata(str(self.target), zarr_format=self.how.format)

    def array(
        self, path: str, values: NDArray[Any], names: list[str], chunks: tuple[int, ...], fill: Any, **attributes: Any
    ) -> None:
        """Write an array with the codecs of the generation."""
        chunks = tuple(min(size, step) for size, step in zip(values.shape, chunks, strict=True))
        if self.how.format == 2:
            made = self.root.create_array(
                path,
                shape=values.shape,
                chunks=chunks,
                dtype=values.dtype,
                fill_value=fill,
                compressors=numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE),
                chunk_key_encoding={"name": "v2", "separator": "."},
                attributes={"_ARRAY_DIMENSIONS": names, **attributes},
                config={"write_empty_chunks": True},
            )
        else:
            shards = None
            if self.how.shards and values.ndim == 2 and values.shape[0] > 100:
                chunks = tuple(1024 for _ in chunks)
                shards = tuple(-(-size // 1024) * 1024 for size in values.shape)
            made = self.root.create_array(
                path,
                shape=values.shape,
                chunks=chunks,
                shards=shards,
                dtype=values.dtype,
                fill_value=fill,
                compressors=ZstdCodec(level=0),
                dimension_names=names,
                attributes=attributes,
            )
        made[...] = values

    def _band(self, band: str) -> None:
        resolution, name = BANDS[band].resolution, BANDS[band].l1c.lower()
        shape = self.granule.grid.shape(resolution)
        step = self.how.chunks[resolution]
        flags = FLAGS["C" if self.how.lower else "A"].split()
        place = self._place(resolution, shape)
        counts = self.source.read(band, slice(0, shape[0]))
        scale: dict[str, Any] = {"scale_factor": 0.0001, "add_offset": -0.1, "units": "digital_counts"}
        scale |= {"valid_min": 1, "valid_max": 6553 if band == "B3" else 65535}
        if self.name == "A":
            scale |= {"fill_value": 0, "_eopf_attrs": dict(scale), "dtype": "<u2"}
        else:
            scale |= {"_FillValue": 0}
        at = (f"r{resolution}m/{name}", ["y", "x"], (step, step))
        self.array(f"measurements/reflectance/{at[0]}", counts, at[1], at[2], 0, **scale, **place)
        none = None if self.how.format == 2 else 0
        masks = {"flag_masks": [1 << bit for bit in range(8)], "flag_meanings": flags}
        self.array(f"quality/mask/{at[0]}", self._quality(band), at[1], at[2], none, **masks, **place)
        detectors = self.source.detectors(band).raster()
        self.array(f"conditions/mask/detector_footprint/{at[0]}", detectors, at[1], at[2], none, **place)

    def _place(self, resolution: int, shape: tuple[int, int]) -> dict[str, Any]:
        """What an array says of where it lies."""
        g = self.granule.grid
        if self.name == "C'":
            return {"grid_mapping": "spatial_ref"}
        transform = [*g.transform(resolution), 0.0, 0.0, 1.0]
        place: dict[str, Any] = {"proj:bbox": [g.west, g.south, g.east, g.north], "proj:shape": list(shape)}
        place |= {"proj:transform": transform}
        return place | ({"proj:epsg": int(g.crs[5:])} if self.name == "A" else {})

    def _coordinates(self, group: str, resolution: int) -> None:
        g, kind = self.granule.grid, np.float32 if self.how.lower else np.int64
        rows, cols = g.shape(resolution)
        x = g.west + resolution * (np.arange(cols) + 0.5)
        y = g.north - resolution * (np.arange(rows) + 0.5)
        self.array(f"{group}/x", x.astype(kind), ["x"], (cols,), None if self.how.format == 2 else 0)
        self.array(f"{group}/y", y.astype(kind), ["y"], (rows,), None if self.how.format == 2 else 0)
        if self.name == "C'":
            self.root[group].attrs.update(
                {
                    "proj:code": g.crs,
                    "spatial:transform": list(g.transform(resolution)),
                    "spatial:bbox": [g.west, g.south, g.east, g.north],
                    "spatial:shape": [rows, cols],
                }
            )

    def _quality(self, band: str) -> NDArray[np.uint8]:
        name = self.source.masks.get(("MSK_QUALIT", band))
        if name is None:  # before baseline 04.00, by what the polygons mean
            lost, defective, saturated = (mask.raster() for mask in self.source.quality(band))
            found = 32 * lost.astype(np.uint8) + 16 * (defective & ~lost) + 128 * saturated
            return found.astype(np.uint8)
        resolution = BANDS[band].resolution
        window = images._window(self.source.package, name, self.granule.grid, resolution)
        with rasterio.open(self.source.package.gdal(name)) as file:
            layers = file.read(window=window) != 0
        return np.packbits(layers[::-1], axis=0)[0]

    def _angles(self) -> None:
        angles, where = self.granule.angles(), "conditions/geometry"
        detectors = sorted({d for of_band in angles.view_zenith.values() for d in of_band})
        rows, cols = angles.sun_zenith.shape
        views = np.full((13, len(detectors), 2, rows, cols), np.nan)
        for n, band in enumerate(BANDS):
            for d, zenith in angles.view_zenith[band].items():
                views[n, detectors.index(d)] = zenith, angles.view_azimuth[band][d]
        order = ["azimuth", "zenith"] if self.how.lower else ["zenith", "azimuth"]
        turn = [1, 0] if self.how.lower else [0, 1]
        sun = np.stack([angles.sun_zenith, angles.sun_azimuth]).astype(np.float64)
        means = np.array([angles.mean_view[b] for b in BANDS])
        kind = np.float32 if self.how.lower else np.int64
        x, y = (angles.west + angles.step * np.arange(cols)), (angles.north - angles.step * np.arange(rows))
        for name, values, names in (
            ("sun_angles", sun[turn], ["angle", "y", "x"]),
            ("viewing_incidence_angles", views[:, :, turn], ["band", "detector", "angle", "y", "x"]),
            ("mean_sun_angles", np.array(angles.mean_sun)[turn], ["angle"]),
            ("mean_viewing_incidence_angles", means[:, turn], ["band", "angle"]),
        ):
            chunks = (7, 4, 2, rows, cols) if values.ndim == 5 else values.shape
            self.array(f"{where}/{name}", values, names, chunks, np.nan)
        numbers = np.array([f"d{d:02}" for d in detectors], "S3") if self.how.lower else np.array(detectors, np.int64)
        bands = np.array([b.l1c.lower() for b in BANDS.values()])
        for name, coordinate in (
            ("angle", np.array(order)),
            ("band", bands),
            ("detector", numbers),
            ("x", x.astype(kind)),
            ("y", y.astype(kind)),
        ):
            empty: Any = {"U": "", "S": b""}.get(coordinate.dtype.kind, 0)
            self.array(f"{where}/{name}", coordinate, [name], coordinate.shape, empty)

    def _ecmwf(self) -> Iterator[tuple[str, NDArray[Any], rasterio.Affine]]:
        for tags, values, where in _layers(self.source.ecmwf()):
            name = {"TCO3": "tco3", "TCWV": "tcwv", "MSL": "msl"}.get(tags.get("GRIB_ELEMENT", ""))
            if name:
                yield name, values, where

    def _cams(self) -> Iterator[tuple[str, NDArray[Any], rasterio.Affine]]:
        for tags, values, where in _layers(self.source.cams()):
            number = CAMS_PARAMETER.match(tags.get("GRIB_ELEMENT", ""))
            if number and int(number[1]) in CAMS_NAMES:
                yield CAMS_NAMES[int(number[1])], values, where

    def _forecast(self, group: str, layers: Iterator[tuple[str, NDArray[Any], rasterio.Affine]]) -> None:
        for name, values, t in layers:
            names = ["latitude", "longitude"]
            self.array(f"{group}/{name}", values.astype(np.float32), names, values.shape, np.nan)
            if f"{group}/latitude" not in self.root:
                latitude = t.f + t.e * (np.arange(values.shape[0]) + 0.5)
                longitude = t.c + t.a * (np.arange(values.shape[1]) + 0.5)
                self.array(f"{group}/latitude", latitude, names[:1], latitude.shape, np.nan)
                self.array(f"{group}/longitude", longitude, names[1:], longitude.shape, np.nan)

    def _attributes(self) -> dict[str, Any]:
        g, lower, early = self.granule, self.how.lower, self.name == "A"
        epsg, folder = int(g.grid.crs[5:]), self.source.folder
        tile = self.xml(self.source.xml)
        take = f"G{g.platform}_{g.datatake_sensing:%Y%m%dT%H%M%S}_{g.orbit:06d}_N{g.baseline}"
        bbox = [g.grid.west, g.grid.south, g.grid.east, g.grid.north]
        properties: dict[str, Any] = {
            "bands": [
                {"name": b.l1c.lower() if early else b.l1c[1:], "solar_illumination": g.solar_irradiance[b.name]}
                for b in BANDS.values()
            ],
            "created": f"{g.generation:%Y-%m-%dT%H:%M:%S.%f+00:00}",
            "datetime": "null",
            "start_datetime": f"{g.datatake_sensing:%Y-%m-%dT%H:%M:%S.%f+00:00}",
            "eopf:baseline" if early else "processing:version": g.baseline,
            "eopf:data_take_id" if early else "eopf:datatake_id": take,
            "eopf:instrument_mode": "INS-NOBS",
            "platform": f"sentinel-{g.platform[1:].lower()}",
            "processing:facility": tile.findtext(".//ARCHIVING_CENTRE", "ESA").strip(),
            "processing:level": "L1C",
            "product:type": "S02MSIL1C",
            "proj:bbox": bbox,
            "sat:absolute_orbit": g.orbit,
            "sat:relative_orbit": g.relative_orbit,
            "sat:platform_international_designator": "2015-028A",
            "view:sun_elevation": 73.8,
        }
        properties |= {"A": {"proj:epsg": epsg}, "B": {}}.get(self.name, {"proj:code": g.grid.crs})
        if lower:
            properties["eopf:datastrip_id"] = tile.findtext(".//DATASTRIP_ID").strip()
        ident = tile.findtext(".//TILE_ID").strip()
        other: dict[str, Any] = {
            "UTM_zone_identification": f"UTM zone {epsg % 100}" if lower else ident,
            "horizontal_CRS_code": g.grid.crs,
            "mean_sensing_time": f"{g.sensing:%Y-%m-%dT%H:%M:%S.%fZ}",
            U.format("Sun-Earth"): float(self._product().findtext(".//U")),
            "geometric_refinement": "null",
        }
        history = {"Level-1C Product": [{"processor": "EOPF-CPM", "version": "2.6.2", "time": "2026-07-16T08:00:00Z"}]}
        if lower:
            other = {key.lower().replace("sun-earth", "sun_earth"): value for key, value in other.items()}
        item = {"type": "Feature", "id": f"{g.identifier}.SAFE", "properties": properties, "bbox": [8, 44, 6, 45]}
        gains: dict[str, dict[str, Any]] = {
            b.l1c[1:]: {"physical_gain": g.physical_gain[b.name]} for b in BANDS.values() if g.physical_gain
        }
        for entry in self._product().iter("Spectral_Information"):
            told = {"wavelength_min": "Wavelength/MIN", "wavelength_max": "Wavelength/MAX"}
            told |= {f"spectral_response_{k.lower()}": f"Spectral_Response/{k}" for k in ("STEP", "VALUES")}
            found = {name: (entry.findtext(path) or "").strip() for name, path in told.items()}
            if all(found.values()):
                gains.setdefault(BY_INDEX[int(entry.get("bandId"))].l1c[1:], {}).update(found)
        assert folder
        if early:  # the second half of it lies beside
            half = {f"b{key.lower()}": {n: str(v) for n, v in told.items()} for key, told in gains.items()}
            other["band_description"] = {key: {"bandwidth": "20.0"} for key in gains}
            return {"stac_discovery": item, "other_metadata": other, "other_metadata4": {"band_description": half}}
        other["band_description"] = gains
        return {"stac_discovery": item, "other_metadata": other, "processing_history": history}

    def _product(self) -> Any:
        name = next(n for n in self.source.package.files() if re.fullmatch(r".*MTD_(MSI|SAF)L1C.*\.xml", n))
        return self.xml(name)


def _layers(content: bytes | None) -> Iterator[tuple[dict[str, str], NDArray[Any], rasterio.Affine]]:
    if content:
        with MemoryFile(content) as memory, memory.open(driver="GRIB") as file:
            for i in file.indexes:
                yield file.tags(i), file.read(i), file.transform
