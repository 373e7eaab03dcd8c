"""The failures the centre knows by name, each saying whether trying again can help.

Anything else that is raised is a bug and shows its traceback. A scene that is refused (too cloudy, sun too low)
is an outcome of the chain, not a failure.
"""

from __future__ import annotations

from pathlib import Path

#: A line that is longer, as where a file has a number of 5000 digits, is cut. [characters]
LONGEST_LINE = 800


def printable(text: str) -> str:
    """A text that any terminal, file and database takes: control characters and surrogates are spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode-escape").decode() for c in text)


class MuscateError(Exception):
    """A failure with one line for the user.

    Attributes
    ----------
    reason_class : str
        What the store records and the retry policy looks at: ``input``, ``processor``, ``infrastructure``,
        ``transient``.
    retry : bool
        Whether the same attempt may succeed later without anybody's help.
    """

    reason_class = "processor"
    retry = False


class InputError(MuscateError):
    """An input that can't be used: the file and its fault. The input is left as it was."""

    reason_class = "input"

    def __init__(self, path: Path | str, fault: str) -> None:
        self.path = Path(path)
        self.fault = fault
        line = printable(" ".join(f"{self.path.name}: {fault}".split()))
        super().__init__(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ...")

    def __reduce__(self) -> tuple[type[InputError], tuple[Path, str]]:  # crosses process borders whole
        return type(self), (self.path, self.fault)


class L1CError(InputError):
    """A Level-1C package that is broken, incomplete, of an unknown form, or no Level-1C at all."""


class Unrecognised(L1CError):
    """A Level-1C of a satellite or processing baseline that nobody has admitted yet.

    Attributes
    ----------
    needs : tuple of str
        What has to be admitted: ``S2D``, ``06.00``, or both.
    """

    def __init__(self, path: Path | str, fault: str, needs: tuple[str, ...]) -> None:
        self.needs = needs
        super().__init__(path, fault)

    def __reduce__(self) -> tuple[type[Unrecognised], tuple[Path, str, tuple[str, ...]]]:  # type: ignore[override]
        return type(self), (self.path, self.fault, self.needs)


class UnsafeArchive(L1CError):
    """A zip that would write outside its folder, hold links, or unpack without bound."""


class ProductError(InputError):
    """A Level-2A product on disk that is incomplete, damaged, or can't be written where it should."""


class AlreadyThere(ProductError):
    """A Level-2A product that is made already, or is being made by another process: its input is none the worse."""


class AncillaryError(InputError):
    """Terrain, ozone, pressure or aerosol input that can't be used."""


class StateError(InputError):
    """A recurrent state of another tile, version or grid, of a later date, or damaged."""


class OutOfRange(MuscateError):
    """A quantity outside the validity of a table. Never extrapolated."""

    reason_class = "input"


class OverLimit(MuscateError):
    """Foreign bytes that take more memory or time to read than they may, or crash their reader."""

    reason_class = "input"


class WrongSetting(MuscateError):
    """A setting that can't be used, by its name; or a home in which there is no centre."""

    reason_class = "input"


class UnknownName(MuscateError):
    """A name that the store does not know."""

    reason_class = "input"


class BadArea(MuscateError):
    """A marked area that is no polygon, is empty, crosses itself or lies outside of its tile."""

    reason_class = "input"


class OutsideTile(MuscateError):
    """A place that does not lie in the tile that was asked."""

    reason_class = "input"


class NotAllowed(MuscateError):
    """Somebody's role, or the centre's settings, don't let him do this.

    Attributes
    ----------
    permission : str
        What he lacks; empty where it is not a permission.
    """

    reason_class = "input"

    def __init__(self, words: str, permission: str = "") -> None:
        self.permission = permission
        super().__init__(words)


class WrongPassword(MuscateError):
    """A name and a password that don't fit each other."""

    reason_class = "input"


class TooManyTries(MuscateError):
    """Somebody has tried passwords too often."""

    reason_class = "input"


class BadPerson(MuscateError):
    """A name, password or account that can't be taken."""

    reason_class = "input"


class StorageError(MuscateError):
    """The disk is full or can't be written."""

    reason_class = "infrastructure"
    retry = True


class Unreachable(MuscateError):
    """What must be fetched does not answer, or does not come whole."""

    reason_class = "infrastructure"
    retry = True


class StoreError(MuscateError):
    """The database can't be reached or has another schema."""

    reason_class = "infrastructure"
    retry = True


class Fenced(MuscateError):
    """The lease of this attempt passed to another one: its work is dropped."""

    reason_class = "infrastructure"


class BadBulletin(MuscateError):
    """News, an incident or a maintenance that can't be kept as it was written.

    Attributes
    ----------
    fault : str
        In words that the catalogues of the pages have.
    named : str
        What it is about, where it is one of several.
    """

    reason_class = "input"

    def __init__(self, fault: str, named: str = "") -> None:
        self.fault, self.named = fault, named
        super().__init__(f"{named}: {fault}" if named else fault)

    def __reduce__(self) -> tuple[type[BadBulletin], tuple[str, str]]:
        return type(self), (self.fault, self.named)


class BadRules(InputError):
    """A file of rules for alerts that can't be used: the file and its fault."""


class SearchError(MuscateError):
    """A search that can't be understood; the one who asked can correct it."""

    reason_class = "input"


class NumberError(SearchError):
    """A number of a search that is none, or beyond all that can be kept: NaN, 1e400."""
