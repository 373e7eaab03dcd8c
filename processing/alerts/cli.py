"""The commands of the alerts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from processing.home import Home, Json, centre, settings_of

alerts = typer.Typer(help="Alerts: who is told when something is wrong.", no_args_is_help=True)


@alerts.command()
def check(
    home: Home = None,
    send: Annotated[bool, typer.Option("--send", help="Also open, close and send, as the centre does itself.")] = False,
    as_json: Json = False,
) -> None:
    """Read the file of rules, and say what holds now. Exit code 1 if the file can't be used."""
    from processing.alerts import rules, watch

    settings = settings_of(home)
    file = rules.path(settings)
    known = rules.read(file)
    _, store = centre(home)
    found = watch.holding(store, settings, known)
    if send:
        watch.check(store, settings, known)
        watch.send(store, known)
    if as_json:
        cases = [{"rule": rule, **case} for rule, case in found]
        typer.echo(json.dumps({"file": str(file), "rules": list(known.rules), "holds": cases}, indent=2))
        return
    typer.echo(f"{file}: {len(known.rules)} rules, {len(known.senders)} senders")
    for rule, case in found:
        typer.echo(f"{rule}: {case['line']}{' (maintenance)' if case['silenced'] else ''}")


@alerts.command("list")
def list_alerts(home: Home = None, as_json: Json = False) -> None:
    """The alerts that are open, and what could not be told."""
    from processing.alerts import watch

    _, store = centre(home)
    with store.read() as session:
        found: list[dict[str, Any]] = [
            {
                "rule": alert.rule,
                "subject": alert.subject,
                "line": alert.line,
                "severity": alert.severity,
                "opened": alert.opened.isoformat(),
                "told": alert.told and alert.told.isoformat(),
            }
            for alert in watch.open_alerts(session)
        ]
        unsent: list[dict[str, Any]] = [
            {"sender": row.sender, "what": row.what, "tries": row.tries, "line": row.line, "fault": row.fault}
            for row in watch.unsent(session)
        ]
    if as_json:
        typer.echo(json.dumps({"open": found, "unsent": unsent}, indent=2))
        return
    for one in found:
        typer.echo(f"{one['opened']:.16} {one['severity']} {one['rule']}, {one['subject']}: {one['line']}")
    for message in unsent:
        typer.echo(f"not sent to {message['sender']} ({message['tries']} tries): {message['fault']}")
    if not found and not unsent:
        typer.echo("no alert is open")
