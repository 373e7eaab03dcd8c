"""The metadata of a product against those of real ones."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from processing import product
from processing.bands import DISTRIBUTED
from processing.masks import Geophysical
from processing.product import metadata
from processing.scene import Grid
from processing.versions import parameters
from tests import product_scenes as scenes
from tests.shared import SHARED

#: A MAJA product of 2016 and the template that MAJA 4 fills.
REAL = SHARED / "data" / "muscate" / "sen2agri_MAJA"
TEMPLATE = SHARED / "data" / "muscate" / "maja_l2_template"

#: Elements and attributes of the real product that ours lacks, each with the reason.
NOT_OURS = {
    "/Muscate_Metadata_Document/@noNamespaceSchemaLocation": "no schema is shipped",
    "Spectral_Band_Informations/Spectral_Response": "those of the Level-1C, which is named; the tables hold ours",
    "Spectral_Band_Informations/Spectral_Response/STEP": "as above",
    "Spectral_Band_Informations/Spectral_Response/STEP/@unit": "as above",
    "Spectral_Band_Informations/Spectral_Response/VALUES": "as above",
    "Job/WORKPLAN_ID": "of an orchestrator that we do not have; the store knows the attempt",
    "Job/JOB_ID": "as above",
    "Job/START_PRODUCTION_DATE": "the store knows it, and the job information holds the seconds of each step",
    "Inputs_List/PRODUCT/PRODUCTION_DATE": "the Level-1C's name tells it",
}
#: Elements and attributes of ours that the real product lacks, each with the reason.
OURS = {
    "MASK_FILE/@detector_id": "Detector_Footprint, empty in the template, named as in the angle grids",
    **dict.fromkeys(
        [
            f"Quality_Informations/Centre_Informations{path}"
            for path in (
                "",
                "/SIMULATED",
                "/PROCESSING_MODE",
                "/PARAMETERS_DIGEST",
                "/PARAMETERS_DIGEST/@type",
                "/Statistic_List",
                "/Statistic_List/STATISTIC",
                "/Statistic_List/STATISTIC/@name",
                "/Absent_List",
                "/Absent_List/@count",
                "/Absent_List/ABSENT",
                "/Absent_List/ABSENT/@name",
                "/Origin_List",
                "/Origin_List/ORIGIN",
                "/Origin_List/ORIGIN/@name",
            )
        ],
        "our own block: what the format has no place for",
    ),
}
#: Texts that differ from the real product's on purpose.
TEXTS = {
    "AUTHORITY": "we are not THEIA",
    "PRODUCER": "as above",
    "PRODUCER_NAME": "as above",
    "COMPRESSION": "reflectance is compressed too",
}


def parse(content: bytes | Path) -> etree._Element:
    return etree.parse(content).getroot() if isinstance(content, Path) else etree.fromstring(content)


def real_document() -> etree._Element:
    found = list(REAL.glob("*_MTD_ALL.xml"))
    if not found:
        pytest.skip(f"{REAL} not here")
    return parse(found[0])


def paths(root: etree._Element) -> set[str]:
    """Every element and attribute by its path."""

    def walk(element: etree._Element, above: str) -> Iterator[str]:
        here = f"{above}/{element.tag}"
        yield here
        yield from (f"{here}/@{etree.QName(name).localname}" for name in element.attrib)
        for child in element.iterchildren(etree.Element):
            yield from walk(child, here)

    return set(walk(root, ""))


def without(found: set[str], allowed: dict[str, str]) -> set[str]:
    """Paths that no entry allows; every entry must allow some."""
    for end in allowed:
        assert any(path.endswith(end) for path in found), f"{end} is allowed in vain"
    return {path for path in found if not path.endswith(tuple(allowed))}


KEYS = {
    **{f"{kind}_{band}": f"{kind}_{band}.tif" for kind in ("SRE", "FRE") for band in DISTRIBUTED},
    **{
        f"{kind}_{g}": f"{kind}_{g}.tif"
        for kind in ("ATB", "CLM", "MG2", "EDG", "SAT", "IAB", "DFP")
        for g in ("R1", "R2")
    },
    **{f"DTF_{group}-D05": f"MASKS/DTF_{group}-D05.tif" for group in ("R1", "R2")},
    "QKL_ALL": "QKL_ALL.jpg",
    "JPI_ALL": "DATA/JPI_ALL.xml",
}
SCENE = scenes.scene()
FLAGS = {"rain": False, "hot_spot": False, "sun_glint": True}


def document(absent: frozenset[str] = frozenset(), grid: Grid | None = None) -> etree._Element:
    scene = SCENE
    if grid is not None:
        scene = replace(SCENE, grid=grid, angles=replace(SCENE.angles, west=grid.west, north=grid.north))
    l2a = scenes.l2a(SCENE, absent=absent, flags=FLAGS)
    name = product.identifier(scene.platform, scene.sensing, scene.tile, l2a.version)
    return parse(metadata.document(name, l2a, scene, scenes.PRODUCED, KEYS))


def test_elements_and_attributes_are_those_of_a_real_product() -> None:
    real, ours = paths(real_document()), paths(document(frozenset({"CLM.SHADOW"})))
    assert without(real - ours, NOT_OURS) == set()
    assert without(ours - real, OURS) == set()


def texts(root: etree._Element, tag: str) -> Counter[str | None]:
    return Counter(element.text for element in root.iter(tag))


@pytest.mark.parametrize(
    "tag",
    [
        "METADATA_FORMAT",
        "METADATA_PROFILE",
        "METADATA_INFORMATION",
        "PROJECT",
        "PRODUCT_LEVEL",
        "PLATFORM",
        "BAND_ID",
        "DATE_PRECISION",
        "REFLECTANCE_QUANTIFICATION_VALUE",
        "WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE",
        "SPATIAL_RESOLUTION",
        "XDIM",
        "YDIM",
        "AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE",
        "SPECIAL_VALUE",
        "GEO_TABLES",
        "HORIZONTAL_CS_TYPE",
        "HORIZONTAL_CS_NAME",
        "HORIZONTAL_CS_CODE",
        "RASTER_CS_TYPE",
        "METADATA_CS_TYPE",
        "PIXEL_ORIGIN",
    ],
)
def test_texts_are_those_of_a_real_product(tag: str) -> None:
    assert texts(document(), tag) == texts(real_document(), tag)


@pytest.mark.parametrize("tag", TEXTS)
def test_we_do_not_claim_to_be_another_centre(tag: str) -> None:
    assert not set(texts(document(), tag)) & set(texts(real_document(), tag)) - {"DEFLATE"}


def rasters(root: etree._Element) -> dict[str, list[tuple[tuple[str, str], ...]]]:
    """Nature of each raster or mask to the attributes of its files."""
    return {
        element.findtext("*/NATURE"): [
            tuple(sorted((str(k), str(v)) for k, v in f.attrib.items()))
            for f in element.iter("IMAGE_FILE", "MASK_FILE")
        ]
        for element in root.iter("Image", "Mask")
    }


def test_natures_bits_and_encodings_are_those_of_a_real_product() -> None:
    real, ours = rasters(real_document()), rasters(document())
    template = rasters(parse(TEMPLATE / "MTD_ALL.xml"))
    assert set(ours) - set(real) == {"Defective_Pixel", "Detector_Footprint"}  # commented out there as not implemented
    assert {nature: ours[nature] for nature in real} == real
    assert ours["Defective_Pixel"] == template["Defective_Pixel"]
    for nature, encoding in (("Surface_Reflectance", "int16"), ("Saturation", "byte")):
        assert encoding in [
            e.findtext("*/ENCODING") for e in document().iter("Image", "Mask") if e.findtext("*/NATURE") == nature
        ]


def test_bit_numbers_are_those_of_the_masks() -> None:
    listed = rasters(document())
    for bit, nature in metadata.GEOPHYSICAL.items():
        for attributes in listed[nature]:
            assert 1 << int(dict(attributes)["bit_number"]) - 1 == bit
    assert set(metadata.GEOPHYSICAL) == set(Geophysical)


def test_absent_layers_are_listed_and_declared_absent_with_the_reason() -> None:
    root = document(frozenset({"MG2.TOPOGRAPHIC_SHADOW", "MG2.HIDDEN", "IAB.AOT", "CLM.SHADOW"}))
    assert rasters(root) == rasters(document())
    declared = {e.get("name"): e.text for e in root.iter("ABSENT")}
    assert declared == {
        "MG2.TOPOGRAPHIC_SHADOW": "no terrain model",
        "MG2.HIDDEN": "no terrain model",
        "IAB.AOT": "step not run by version 1.4 in nominal mode",
        "CLM.SHADOW": "step not run by version 1.4 in nominal mode",
    }


def test_flags_that_were_not_tested_are_not_told() -> None:
    l2a = scenes.l2a(SCENE, flags={"hot_spot": True})
    root = parse(metadata.document("SENTINEL2A_D_V1-4", l2a, SCENE, scenes.PRODUCED, KEYS))
    indices = {e.get("name"): e.text for e in root.iter("QUALITY_INDEX")}
    assert indices == {"CloudPercent": "12", "SnowPercent": "0", "HotSpotDetected": "true"}


def test_corners_are_those_of_the_real_product_of_the_tile() -> None:
    """T31UDS: our projection against the coordinates that MAJA wrote."""
    real = real_document()
    grid = Grid("EPSG:32631", 399960.0, 5700000.0, 109800, 109800)
    found = [[float(c.text or "") for c in point] for point in document(grid=grid).iter("Point")]
    expected = [[float(c.text or "") for c in point] for point in real.iter("Point")]
    np.testing.assert_allclose(found, expected, rtol=6e-6)
    sizes = [[e.text for e in group] for group in document(grid=grid).iter("Group_Geopositioning")]
    assert sizes == [[e.text for e in group] for group in real.iter("Group_Geopositioning")]


@pytest.mark.parametrize(("code", "name"), [("32740", "WGS 84 / UTM zone 40S"), ("32601", "WGS 84 / UTM zone 1N")])
def test_projection_is_named(code: str, name: str) -> None:
    root = document(grid=Grid(f"EPSG:{code}", 300000.0, 7700020.0, 3660, 3660))
    assert root.findtext(".//HORIZONTAL_CS_NAME") == name


def test_angles_come_back() -> None:
    root = document()
    angles = SCENE.angles

    def grid(element: etree._Element | None) -> np.ndarray:
        assert element is not None
        assert element.findtext("COL_STEP") == element.findtext("ROW_STEP") == "5000"
        return np.array([[float(v) for v in (row.text or "").split()] for row in element.iter("VALUES")])

    np.testing.assert_allclose(grid(root.find(".//Sun_Angles_Grids/Zenith")), angles.sun_zenith, rtol=1e-5)
    np.testing.assert_allclose(grid(root.find(".//Sun_Angles_Grids/Azimuth")), angles.sun_azimuth, rtol=1e-5)
    for band in DISTRIBUTED:
        for detector in (5, 6):
            one = root.find(
                f".//Band_Viewing_Incidence_Angles_Grids_List[@band_id='{band}']"
                f"/Viewing_Incidence_Angles_Grids[@detector_id='{detector:02d}']"
            )
            assert one is not None
            for tag, expected in (("Zenith", angles.view_zenith), ("Azimuth", angles.view_azimuth)):
                np.testing.assert_allclose(grid(one.find(tag)), expected[band][detector], rtol=1e-5)
        mean = root.find(f".//Mean_Viewing_Incidence_Angle[@band_id='{band}']")
        assert mean is not None
        assert float(mean.findtext("ZENITH_ANGLE") or "") == pytest.approx(angles.mean_view[band][0], rel=1e-5)


def test_angle_grids_must_begin_at_the_corner() -> None:
    shifted = replace(SCENE, angles=replace(SCENE.angles, west=0.0))
    with pytest.raises(ValueError, match="corner"):
        metadata.document("SENTINEL2A_D_V1-4", scenes.l2a(SCENE), shifted, scenes.PRODUCED, KEYS)


def test_job_information() -> None:
    l2a = scenes.l2a(SCENE, absent=frozenset({"FRE"}))
    root = parse(metadata.job(l2a, SCENE))
    found = {e.findtext("Key"): e.findtext("Value") for e in root.iter("Processing_Flags_And_Modes")}
    assert found["Processing_Mode"] == "NOMINAL_MODE"
    assert found["Validity_Flag"] == "L2VALD"
    assert found["Adjacency_Effects_And_Slope_Correction"] == "false"  # no terrain model
    assert found["Parameters_SHA256"] == parameters("V1_4").digest != parameters("V1_3").digest
    assert {e.get("name"): e.text for e in root.iter("STEP_DURATION")} == {"cloud_mask": "0.500", "adjacency": "1.250"}
    assert [float(e.text or "") for e in root[0]][:3] == [-2.0, 300.0, 149.0]
    real_document()
    real = parse(next(iter((REAL / "DATA").glob("*_JPI_ALL.xml"))))
    steps = {path for path in paths(root) if "/Step_Duration_List" in path}
    assert paths(root) - steps == {path for path in paths(real) if not path.endswith("@noNamespaceSchemaLocation")}
    keys = {e.text for e in real.iter("Key")}
    not_run = {"Quality_check", "Cirrus_Correction", "CAMS_Processing"}  # steps that are not ours
    assert keys - set(found) == not_run


def test_a_real_product_is_read(tmp_path: Path) -> None:
    """Metadata alone: no pixels of it are here."""
    real_document()
    folder = tmp_path / "product"
    shutil.copytree(REAL, folder)
    found = product.read(folder)
    assert found.identifier == "SENTINEL2A_20160928-105637-665_L2A_T31UDS_D_V1-0"
    assert found.authority == "THEIA"
    assert found.sensing == datetime(2016, 9, 28, 10, 56, 37, 665_000, tzinfo=UTC)
    assert found.grid == Grid("EPSG:32631", 399960.0, 5700000.0, 109800, 109800)
    assert found.figures.cloud_percent == 54
    assert np.isnan(found.figures.aot_mean)
    assert found.flags == {"rain": False, "hot_spot": False, "sun_glint": False}
    assert found.l1c == "SENTINEL2A_20160928-105637-665_L1C_T31UDS_C_V1-0"
    assert (found.mode, found.parameters, found.absent, found.origin) == (None, None, frozenset(), {})
    assert len([key for key in found.files if key.startswith("FRE_")]) == 10
    assert {"CLM_R1", "MG2_R2", "EDG_R1", "SAT_R2", "IAB_R1", "ATB_R2", "QKL_ALL", "PVD_ALL"} <= set(found.files)
