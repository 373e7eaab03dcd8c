"""`muscate validate`: products against references, as numbers, figures and records of the store."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processing.home import REJECTED, Json, centre

if TYPE_CHECKING:
    from processing.validation.runs import MaskFiles, Run

validate = typer.Typer(help="Hold products against references: numbers, figures, records.", no_args_is_help=True)

Products = Annotated[list[Path], typer.Argument(metavar="PRODUCT...", help="Product folders, or folders of them.")]
Out = Annotated[Path, typer.Option(help="Folder that receives JSON, CSV and PNG.")]
Home = Annotated[
    Path | None,
    typer.Option(envvar="MUSCATE_HOME", help="Centre whose store keeps the results for the dashboard; none: not kept."),
]
Kind = Annotated[str, typer.Option(help="SRE, or FRE: corrected for slopes.")]


@validate.command()
def clouds(
    path: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Products, Level-1C packages for --comparator, or folders of them."),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            help="Mask file, folder or pattern: raster, GeoJSON, shapefile, GeoPackage; paired by tile and date. "
            "`kept`: the masks made by hand that the centre of --home keeps."
        ),
    ] = None,
    truth: Annotated[
        list[Path] | None,
        typer.Option(help="Or the folder of a series of muscate simulate; repeat. Each kind of cloud is judged apart."),
    ] = None,
    classes: Annotated[
        str,
        typer.Option(help="Its classes: scl, scl-high, scl-medium, scl-low, a TOML file, or 'cloud=8,9,10 shadow=3'."),
    ] = "scl",
    name: Annotated[str | None, typer.Option(help="What to call the reference.")] = None,
    mask: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILES[@CLASSES]", help="Further masks to judge; repeat.")
    ] = None,
    comparator: Annotated[
        list[str] | None,
        typer.Option(
            help="s2cloudless, ukis-csmask, ukis-csmask-60 (muscate[comparators]), python-fmask: run on the Level-1C."
        ),
    ] = None,
    buffer: Annotated[float, typer.Option(min=0, help="Buffer that all masks are brought to. [m]")] = 240.0,
    ring: Annotated[
        float | None,
        typer.Option(
            min=0, help="Once more without a ring around the reference's clouds and shadows; 240 with --truth. [m]"
        ),
    ] = None,
    sieve: Annotated[
        float, typer.Option(min=0, help="Drop smaller clouds and shadows before growing, where a mask is noisy. [m2]")
    ] = 0.0,
    resolution: Annotated[int, typer.Option(min=10, max=240, help="Of the comparison. [m]")] = 20,
    maps: Annotated[bool, typer.Option(help="Draw a map of agreements of each image.")] = True,
    out: Out = Path("validation"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Cloud and shadow masks against a reference or a known truth: as they are, and all grown to one buffer."""
    from processing.validation import clouds as cloud_masks
    from processing.validation import runs
    from processing.validation import truth as truths

    _check_comparators(comparator or ())
    if (reference is None) == (not truth):
        raise typer.BadParameter("give either --reference or --truth")
    if truth and ring is None:
        ring = 240.0
    run = runs.clouds(
        path,
        runs.truth_files(truth) if truth else _reference(str(reference), classes, name, home),
        out,
        others=runs.Others([_mask_files(text, "--mask") for text in mask or ()], comparator or ()),
        how=cloud_masks.Treatment(buffer, ring, sieve, resolution),
        maps=maps,
    )
    _finish(run, out, home, as_json, table=truths.table if truth else None)


@validate.command()
def aot(
    path: Products,
    aeronet: Annotated[
        list[Path] | None, typer.Option(help="AERONET Version 3 file, .lev15, .lev20, web answer or zip; repeat.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Or rasters of known AOT (and water vapour), paired by tile and date.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Before and after the overpass. [min]")] = 30.0,
    box: Annotated[float, typer.Option(min=20, help="Side of the square around the station. [m]")] = 5000.0,
    min_measurements: Annotated[int, typer.Option(min=1, help="Of the station in that time.")] = 1,
    min_share: Annotated[float, typer.Option(min=0, max=1, help="Of the square that has to be usable.")] = 0.1,
    interpolated: Annotated[bool, typer.Option(help="Also pixels whose value was filled in.")] = False,
    out: Out = Path("validation"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Aerosol optical thickness against sun photometers, or against a map; versions side by side."""
    from processing.validation import runs
    from processing.validation.aot import Around

    if (aeronet is None) == (reference is None):
        raise typer.BadParameter("give either --aeronet or --reference")
    if aeronet is not None:
        around = Around(minutes, box, min_measurements, min_share, interpolated)
        run = runs.aot_against_stations(path, aeronet, around, out)
    else:
        maps = runs.files(str(reference), runs.RASTERS)
        run = runs.aot_against_maps(path, maps, out, interpolated=interpolated, name=maps[0].stem)
    _finish(run, out, home, as_json)


@validate.command()
def reflectance(
    path: Products,
    reference: Annotated[
        str | None, typer.Option(help="Raster of surface reflectance, folder or pattern, paired by tile and date.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the reference.")] = None,
    bands: Annotated[str | None, typer.Option(help="Its bands in order, B2,B3,...; else as it describes them.")] = None,
    scale: Annotated[float | None, typer.Option(help="Reflectance of one count; else 0.0001 of integers.")] = None,
    roughness: Annotated[
        float | None, typer.Option(min=0, help="Only cells that differ by less from the mean of their neighbours.")
    ] = None,
    noise_step: Annotated[float, typer.Option(min=10, help="Without reference: distance of the samples. [m]")] = 200.0,
    kind: Kind = "SRE",
    out: Out = Path("validation"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Accuracy, precision, uncertainty against a reference; without one, the noise of the time series."""
    from processing.validation import runs

    if reference is None:
        run = runs.noise(path, step=noise_step, kind=kind)
    else:
        files = runs.files(reference, runs.RASTERS)
        against = runs.ReflectanceFiles(name or files[0].stem, files, bands.split(",") if bands else None, scale)
        run = runs.reflectance(path, against, out, roughness=roughness, kind=kind)
    _finish(run, out, home, as_json, "reflectance" if reference else "noise")


@validate.command()
def versions(
    path: Products,
    new: Annotated[str, typer.Option(help="The version to be judged.")],
    old: Annotated[str, typer.Option(help="The version it is held against.")],
    out: Out = Path("validation"),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Two versions of the same images: masks, aerosol, water vapour and reflectance."""
    from processing.validation import runs

    _finish(runs.versions(path, new, old), out, home, as_json)


def _check_comparators(given: Sequence[str]) -> None:
    from processing.validation.comparators import COMPARATORS

    for wanted in given:
        if wanted not in COMPARATORS:
            raise typer.BadParameter(f"{wanted}: known are {', '.join(COMPARATORS)}", param_hint="--comparator")


def _reference(given: str, classes: str, name: str | None, home: Path | None) -> MaskFiles:
    """The mask files that `--reference` names."""
    if given == "kept":
        return _kept(name or "by hand", home)
    return _mask_files(f"{name or _called(classes, given)}={given}@{classes}", "--reference")


def _called(classes: str, reference: str) -> str:
    from processing.validation.masks import SCHEMES

    return classes.upper() if classes in SCHEMES else Path(reference).stem.strip("*") or "reference"


def _kept(name: str, home: Path | None) -> MaskFiles:
    """The masks made by hand that a centre keeps."""
    from processing.validation import reference_masks, runs

    if home is None:
        raise typer.BadParameter("kept masks need a centre: --home or MUSCATE_HOME", param_hint="--reference")
    settings, store = centre(home)
    with store.read() as session:
        files, meaning = reference_masks.kept(session, settings)
    store.dispose()
    return runs.MaskFiles(name, files, meaning)


def _mask_files(text: str, option: str) -> MaskFiles:
    """NAME=FILES[@CLASSES]"""
    from processing.validation import runs
    from processing.validation.masks import classes

    name, _, rest = text.partition("=")
    files, _, meaning = rest.partition("@")
    if not (name and files):
        raise typer.BadParameter(f"{text!r} is not NAME=FILES[@CLASSES]", param_hint=option)
    try:
        return runs.MaskFiles(name, runs.files(files), classes(meaning or "scl"))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _finish(
    run: Run,
    out: Path,
    home: Path | None,
    as_json: bool,
    name: str = "",
    table: Callable[[list[dict[str, Any]]], list[str]] | None = None,
) -> None:
    """Write, record and print a run's rows (in a `table` of its own); exit as its faults say."""
    from processing.validation import report

    for line in [*run.notes, *run.faults]:
        typer.echo(" ".join(str(line).split()), err=True)
    if not run.rows:
        typer.echo("nothing could be compared", err=True)
        raise typer.Exit(1)
    report.write(out, name or run.kind, run.rows, {"kind": run.kind, "notes": run.notes})
    if home is not None:
        _record(run, home)
    if as_json:
        typer.echo(json.dumps(run.rows, indent=2, allow_nan=False))
    else:
        overall = [row for row in run.rows if row["image"] is None]
        for line in table(run.rows) if table else _table(overall or run.rows):
            typer.echo(line)
        typer.echo(f"all {len(run.rows)} figures: {out / f'{name or run.kind}.csv'}")
    raise typer.Exit(REJECTED if run.faults else 0)


def _record(run: Run, home: Path) -> None:
    from processing.store import validations

    _, store = centre(home, make=True)
    command = shlex.join(["muscate", *sys.argv[1:]])
    rows = [row | {"command": command} for row in run.rows]
    for place, pairs in run.samples.items():
        rows[place]["metrics"] = rows[place]["metrics"] | {"sample": pairs}
    with store.write() as session:
        validations.record(session, rows)
    store.dispose()


#: Figures that are printed, where a row has them; the files have all.
_SHOWN = (
    *("images", "overall_accuracy", "omission", "commission", "f1", "false_alarm_rate"),
    *("share_new", "share_old", "pairs", "bias", "rmse", "found", "reference", "share_inside", "correlation"),
    *("accuracy", "precision", "uncertainty", "difference", "relative", "noise", "triplets", "pixels"),
)


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of equal columns, those of one treatment together."""
    rows = sorted(rows, key=lambda row: (row["buffer"] or 0, row["ring"] or 0))
    shown = [key for key in _SHOWN if any(key in row["metrics"] for row in rows)]
    if any("f1" in row["metrics"] for row in rows):
        shown = [key for key in shown if key != "precision"]
    head = ["image", "subject", "method", "treatment", *(key.replace("_", " ") for key in shown)]
    body = []
    for row in rows:
        treatment = "" if row["buffer"] is None else f"to {row['buffer']:g} m"
        treatment += "" if row["ring"] is None else f"without ring of {row['ring']:g} m"
        figures = [row["metrics"].get(key) for key in shown]
        texts = ["-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in figures]
        body.append([row["image"] or "all", row["subject"], row["method"], treatment or "direct", *texts])
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *body]
    ]
