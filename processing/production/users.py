"""`muscate user`: who may sign in, as what, and which sessions hold."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from processing.home import Home, Json, centre
from processing.people import Role, command_line

user = typer.Typer(help="People: who may sign in, as what, and which sessions hold.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input, its first line.")]


def _password(from_stdin: bool) -> str:
    """A password as it is kept: read without an echo, twice, or from standard input."""
    from processing.store import people

    if from_stdin:
        return people.hashed(sys.stdin.readline().rstrip("\r\n"))
    return people.hashed(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@user.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the person may; each role may what those before it may.")],
    stdin: Stdin = False,
    home: Home = None,
) -> None:
    """Let somebody sign in with a password, which is asked for."""
    from processing.store import people

    store = centre(home, make=True)[1]
    password = _password(stdin)
    with store.write() as session:
        people.add(session, name, role, command_line(), password)
    typer.echo(f"{name} may sign in as {role}")


@user.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Who may sign in."""
    from processing.store import people

    with centre(home)[1].read() as session:
        found = [
            {"name": p.name, "role": p.role, "by": p.issuer or ("password" if p.password else "link")}
            for p in people.everybody(session)
        ]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        typer.echo(f"{one['name']}  {one['role']}  {one['by']}")
    if not found:
        typer.echo("nobody yet: muscate user add NAME --role admin")


@user.command()
def remove(name: Name, home: Home = None) -> None:
    """Let somebody sign in no more, and end his sessions."""
    from processing.store import people

    with centre(home)[1].write() as session:
        people.remove(session, name, command_line())
    typer.echo(f"{name} may sign in no more")


@user.command()
def password(name: Name, stdin: Stdin = False, home: Home = None) -> None:
    """Give somebody another password, and end his sessions."""
    from processing.store import people

    store = centre(home)[1]
    with store.read() as session:
        people.find(session, name)
    kept = _password(stdin)
    with store.write() as session:
        people.set_password(session, name, kept, command_line())
    typer.echo(f"{name} has another password")


@user.command()
def role(name: Name, role: Annotated[Role, typer.Argument(metavar="ROLE")], home: Home = None) -> None:
    """Give somebody another role: public, scientist, operator, admin."""
    from processing.store import people

    with centre(home)[1].write() as session:
        people.set_role(session, name, role, command_line())
    typer.echo(f"{name} is {role}")


@user.command()
def sessions(
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "", home: Home = None, as_json: Json = False
) -> None:
    """Sessions that hold: of everybody, or of one person."""
    from processing.store import people

    with centre(home)[1].read() as session:
        found = [
            {
                "number": s.id,
                "name": s.person.name,
                "from": s.origin,
                "browser": s.browser,
                "began": s.created.isoformat(timespec="seconds"),
                "seen": s.seen.isoformat(timespec="seconds"),
            }
            for s in people.sessions(session, name)
        ]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        typer.echo(f"{one['number']}  {one['name']}  from {one['from']}  seen {one['seen']}  {one['browser']}")
    if not found:
        typer.echo("no session holds")


@user.command()
def token(name: Name, home: Home = None) -> None:
    """Give a program of somebody's a token: MUSCATE_TOKEN of `muscate download`. It is one of his sessions."""
    from processing.store import people

    with centre(home)[1].write() as session:
        typer.echo(people.begin(session, people.find(session, name), "command line", "a program's token", "token"))


@user.command()
def revoke(
    name: Name,
    session: Annotated[int | None, typer.Option(help="Number of one session; all of the person without it.")] = None,
    home: Home = None,
) -> None:
    """End a person's sessions at once."""
    from processing.store import people

    with centre(home)[1].write() as transaction:
        ended = people.revoke(transaction, name, command_line(), session)
    typer.echo(f"{name}: {ended} ended")
