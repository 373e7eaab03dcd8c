"""A whole centre on one host: its parts under one process tree that heals, and the demonstration archive."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from functools import partial

from sqlalchemy import select

from processing.alerts import rules
from processing.errors import MuscateError, WrongSetting
from processing.people import command_line
from processing.production.alone import alone
from processing.production.supervisor import Supervisor, notify
from processing.settings import Settings
from processing.sources import named
from processing.store import Store, events, people
from processing.store.dialect import now
from processing.store.models import Granule


def up(settings: Settings, muscate: str, *, open_browser: bool = False) -> int:
    """Keep web, watcher and dispatcher going until the user stops them; one that ends is started again.

    Where sources are set, they are looked at all the time, and what they have is brought into the inbox.

    Parameters
    ----------
    muscate : str
        Command line that a part's name is put after.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    WrongSetting
        If its port is taken, or a source is none or lacks its account: then nothing starts.
    Runs
        If it runs on this home already.
    """
    rules.read(rules.path(settings))  # what is wrong with it is said before anything starts
    named.origins(settings.sources, who=named.account())
    with alone(settings, "up"):
        with alone(settings, "watch"):  # one that runs for itself; ours takes its place
            pass
        check_port(settings)
        return _up(settings, muscate, open_browser=open_browser)


def check_port(settings: Settings) -> None:
    """Make sure that the web can listen where it is told to, before anything starts.

    Raises
    ------
    WrongSetting
        If the port is taken, or the address is none of this machine.
    """
    place = f"{settings.host}, port {settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            hint = "another program listens there (--port or MUSCATE_PORT names another one)"
            raise WrongSetting(f"{place} is taken: {hint}") from None
        reason = getattr(error, "strerror", None) or error
        raise WrongSetting(f"{place}: the web can't listen there ({reason})") from None


def _up(settings: Settings, muscate: str, *, open_browser: bool) -> int:
    store = Store(settings.url)
    store.upgrade()
    with store.read() as session:
        empty = session.scalar(select(Granule.id).limit(1)) is None
    way_in = _way_in(settings, store)
    store.dispose()
    environment = dict(os.environ, MUSCATE_HOME=str(settings.home), PYTHONUNBUFFERED="1")
    # At home the dispatcher runs the dates itself; with a scheduler elsewhere this host offers its slots to it.
    parts = ("web", "watch", "dispatch", *(("worker",) if settings.joins else ()))
    program = shlex.split(muscate)
    commands = {part: [*program, part] for part in parts}
    if settings.sources:
        commands["fetch"] = [*program, "fetch", "--every", f"{settings.sources_minutes:g}"]
    supervisor = Supervisor(commands, environment, partial(_note, settings))
    url = f"http://localhost:{settings.port}"
    print(f"muscate: dashboard on {url} · drop Level-1C products into {settings.inbox.resolve()}", flush=True)
    if way_in.startswith("/"):
        print(f"muscate: sign in as admin, once, within half an hour: {url}{way_in}", flush=True)
    elif way_in:
        print(f"muscate: {way_in}", flush=True)
    if empty and settings.demonstration and not any(p for p in settings.inbox.iterdir() if p != settings.rejected):
        print("muscate: the home is empty: filling it with a simulated demonstration archive", flush=True)
        threading.Thread(target=_demonstrate, args=(settings, environment), daemon=True).start()
    if open_browser and (sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        threading.Thread(target=_open, args=(url, way_in), daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_ready, args=(url, stop), daemon=True).start()
    supervisor.run(stop)
    return 0


def _note(settings: Settings, part: str, how: str) -> None:
    """Have a part that ended among the anomalies, if the store can be reached."""
    line = f"{part} ended ({how}) on {socket.gethostname()} and was started again"
    with contextlib.suppress(MuscateError):
        store = Store(settings.url)
        with store.write() as session:
            time_ = now(session)
            events.note_anomaly(session, time_, "infrastructure", f"{part} ended", line)
            events.record(session, time_, "part_ended", severity="error", actor="up", data={"reason": line})
        store.dispose()


def _ready(url: str, stop: threading.Event) -> None:
    """Tell systemd once the web answers."""
    while not stop.wait(0.5):
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{url}/health", timeout=2).close()  # nosec B310: our own address
            notify("READY=1")
            return


def _demonstrate(settings: Settings, environment: dict[str, str]) -> None:
    """Write the simulated archive into the inbox, in a process of its own so that the parts start at once."""
    command = [sys.executable, "-m", "processing", "simulate", "--demonstration", "--out", str(settings.inbox)]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"muscate: the demonstration archive could not be made (exit code {done.returncode})", flush=True)


def _way_in(settings: Settings, store: Store) -> str:
    """How somebody signs in to a centre that knows nobody: the path of a demonstration's link, or what to do."""
    with store.write() as session:
        if settings.demonstration and people.is_demonstration(session):
            return f"/sign-in/link/{people.demonstration_link(session, command_line())}"
        if not settings.oidc_issuer and not any(person.password for person in people.everybody(session)):
            return "nobody can sign in yet: muscate user add NAME --role admin"
    return ""


def _open(url: str, way_in: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()  # nosec B310: our own address
        except (urllib.error.URLError, OSError):
            time.sleep(1)
        else:
            webbrowser.open(url + way_in if way_in.startswith("/") else url)
            return
