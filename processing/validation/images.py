"""What is to be judged: products and Level-1C packages, put together by the pass they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from processing import l1c, naming, product
from processing.errors import InputError, ProductError
from processing.product.names import series
from processing.scene import Grid

#: Two products further apart than this are of two passes.
SAME_PASS = timedelta(minutes=10)


@dataclass
class Image:
    """One pass over one tile.

    Attributes
    ----------
    identifier : str
        ``SENTINEL2A_20230815-095843-461_L2A_T33TWM``.
    products : list of Product
        Of any version, ours and others'.
    granule : Granule or None
        Its Level-1C.
    """

    tile: str
    platform: str
    sensing: datetime
    grid: Grid
    products: list[product.Product] = field(default_factory=list)
    granule: l1c.Granule | None = None

    @property
    def identifier(self) -> str:
        """Name of the pass over its tile, as in the names of its products."""
        return series(self.platform, self.sensing, self.tile)

    @property
    def date(self) -> str:
        """Day of the pass, ``20230815``."""
        return f"{self.sensing:%Y%m%d}"


def collect(paths: Iterable[Path]) -> tuple[list[Image], list[InputError]]:
    """Images of the products and Level-1C packages that were given, or that lie in given folders, in time order.

    Returns
    -------
    images : list of Image
    faults : list of InputError
        Paths that can't be used, each with its fault; they don't stop the others.
    """
    images: list[Image] = []
    faults: list[InputError] = []
    for path in paths:
        try:
            for member in _members(path):
                try:
                    _add(images, member)
                except InputError as error:
                    faults.append(error)
        except InputError as error:
            faults.append(error)
    return sorted(images, key=lambda i: (i.sensing, i.tile)), faults


def _members(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise InputError(path, "is not there")
    if _is_package(path) or any(path.glob("*_MTD_ALL.xml")):
        yield path
        return
    if not path.is_dir():
        raise InputError(path, "is neither a product nor a Level-1C package")
    members = [p for p in sorted(path.iterdir()) if _is_package(p) or (p.is_dir() and any(p.glob("*_MTD_ALL.xml")))]
    if not members:
        raise InputError(path, "holds neither products nor Level-1C packages")
    yield from members


def _is_package(path: Path) -> bool:
    return path.suffix in naming.ENDINGS


def _add(images: list[Image], path: Path) -> None:
    if not _is_package(path):
        found = product.read(path)
        image = _image(images, path, found.tile, found.platform, found.sensing, found.grid)
        if any(_whose(p) == _whose(found) for p in image.products):
            raise ProductError(path, f"there is another product of {' '.join(_whose(found))} for {image.identifier}")
        image.products.append(found)
        return
    for granule in l1c.granules(path):
        image = _image(images, path, granule.tile, granule.platform, granule.sensing, granule.grid)
        if image.granule is not None:
            raise InputError(path, f"there is another Level-1C of {image.identifier}: {image.granule.identifier}")
        image.granule = granule


def _whose(found: product.Product) -> tuple[str, str]:
    return found.authority, found.version


def _image(images: list[Image], path: Path, tile: str, platform: str, sensing: datetime, grid: Grid) -> Image:
    for image in images:
        if (image.tile, image.platform) == (tile, platform) and abs(image.sensing - sensing) <= SAME_PASS:
            if image.grid != grid:
                raise InputError(path, f"lies on another grid than the rest of {image.identifier}")
            return image
    images.append(Image(tile, platform, sensing, grid))
    return images[-1]
