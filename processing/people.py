"""Who does something, and what his role lets him do: the pages and the command line ask here, and nowhere else."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from enum import StrEnum

from processing.errors import NotAllowed

#: Who acts where nobody has signed in; no person has this name.
VISITOR = "visitor"


class Role(StrEnum):
    """What somebody is to the centre; each may do what those before it may."""

    PUBLIC = "public"
    SCIENTIST = "scientist"
    OPERATOR = "operator"
    ADMIN = "admin"

    def reaches(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


#: The least role for each thing that changes something.
PERMISSIONS = {
    "judge": Role.SCIENTIST,  # verdicts on products
    "import_masks": Role.SCIENTIST,
    "validate": Role.SCIENTIST,
    "write_news": Role.OPERATOR,  # news, incidents, maintenance
    "order": Role.OPERATOR,  # retry, replay, hold, release, reject of dates
    "withdraw": Role.OPERATOR,  # products
    "campaign": Role.OPERATOR,
    "admit": Role.OPERATOR,  # satellites and baselines that were not known
    "people": Role.ADMIN,
}


@dataclass(frozen=True)
class Actor:
    """Somebody who does something.

    Attributes
    ----------
    name : str
        As it stands in the events.
    role : Role
    origin : str
        From where: ``command line``, or the address of a browser.
    """

    name: str
    role: Role
    origin: str

    def may(self, permission: str) -> bool:
        """Whether the role reaches what the permission asks for."""
        return self.role.reaches(PERMISSIONS[permission])

    def require(self, permission: str) -> None:
        """Go on only if allowed.

        Raises
        ------
        NotAllowed
            If the role does not reach.
        """
        if not self.may(permission):
            needed = PERMISSIONS[permission]
            who = "sign in first" if self.role is Role.PUBLIC else f"{self.name} is {self.role}"
            raise NotAllowed(f"{permission.replace('_', ' ')} needs the role {needed}: {who}", permission)


def command_line(speaking_for: str | None = None) -> Actor:
    """Whoever gives commands on the centre's own machine: he has its files, so that nothing is kept from him.

    Parameters
    ----------
    speaking_for : str, optional
        Somebody else in whose name he gives the command; it stands in the events beside his own.
    """
    login = getpass.getuser()
    if speaking_for is None or speaking_for == login:
        return Actor(login, Role.ADMIN, "command line")
    return Actor(speaking_for, Role.ADMIN, f"command line of {login}")
