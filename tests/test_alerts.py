"""Alerts: what holds, who is told when, how often, and over which way."""

from __future__ import annotations

import hmac
import json
import shutil
import ssl
import time
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from processing.alerts import rules as reading
from processing.alerts import senders, watch
from processing.alerts.conditions import CONDITIONS, Look
from processing.alerts.rules import Mail, Rules
from processing.alerts.senders import Message
from processing.errors import BadRules, Unreachable
from processing.people import Actor, Role
from processing.settings import Settings
from processing.store import Store, bulletins, events
from processing.store.bulletins import Draft
from processing.store.models import (
    Acquisition,
    Alert,
    AlertMessage,
    Attempt,
    Campaign,
    Chain,
    Granule,
    Job,
    Site,
    SiteTile,
    Tile,
)
from tests.alert_receivers import Hook, Mailbox, mail_server, web_address
from tests.store_databases import postgres, url  # noqa: F401
from tests.test_cli import muscate

# ruff: noqa: F811

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ANNA = Actor("anna", Role.OPERATOR, "test")
SITES = {"alps": "31TGK", "lot": "31TCJ"}
LATE = {"when": "late", "hours": 6, "calm_minutes": 0, "repeat_hours": 10}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    return settings


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.upgrade(explicit=True)
    with store.write() as session:
        for code, tile in SITES.items():
            session.add_all([Site(code=code, name=code, country="", priority=1, active=True), Tile(mgrs=tile)])
            session.flush()
            session.add(SiteTile(site=code, tile=tile))
        campaign = Campaign(version="V1_4", status="active", priority=0, opened=NOW)
        session.add(campaign)
        session.flush()
        session.add_all([Chain(tile=tile, campaign_id=campaign.id) for tile in SITES.values()])
    yield store
    store.dispose()


def date(store: Store, site: str, state: str = "ready", age: timedelta = 7 * HOUR) -> int:
    """A date of a site that was queued some time ago."""
    with store.write() as session:
        tile, when = SITES[site], NOW - age
        acquisition = Acquisition(tile=tile, platform="S2A", datatake=when, sensing=when, first_seen=when)
        chain = session.scalars(sa.select(Chain).where(Chain.tile == tile)).one()
        session.add(acquisition)
        session.flush()
        session.add(Granule(acquisition_id=acquisition.id, name="x", source="inbox", baseline="05.10", datastrip=when,
                            generation=when, path="x", bytes=1, seen=when))  # fmt: skip
        job = Job(chain_id=chain.id, acquisition_id=acquisition.id, sensing=when, state=state, not_before=when, created=when)  # noqa: E501  # fmt: skip
        session.add(job)
        session.flush()
        return job.id


def rules_of(**rule: Any) -> Rules:
    return Rules.model_validate({"rules": {"one": rule}})


def cases(store: Store, settings: Settings, **rule: Any) -> list[str]:
    with store.read() as session:
        (one,) = rules_of(**rule).rules.values()
        return [case.subject for case in CONDITIONS[one.when](Look(session, NOW, settings.archive), one)]


def messages(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.scalars(sa.select(AlertMessage.what).order_by(AlertMessage.id)))


def maintain(store: Store, begins: timedelta, ends: timedelta, *where: str) -> int:
    with store.write() as session:
        draft = Draft("maintenance", "info", NOW + begins, NOW + ends, where, {"en": {"title": "Work"}})
        return bulletins.publish(session, ANNA, bulletins.keep(session, ANNA, draft).id).id


# What holds


def test_a_site_is_late_whose_real_time_dates_wait(store: Store, settings: Settings) -> None:
    assert cases(store, settings, **LATE) == []
    date(store, "alps", age=7 * HOUR)
    date(store, "lot", age=5 * HOUR)
    for state in ("held", "published", "failed"):
        date(store, "lot", state, age=(8 if state == "held" else 9 if state == "failed" else 10) * HOUR)
    assert cases(store, settings, **LATE) == ["alps"]
    assert cases(store, settings, **LATE, sites=["lot"]) == []
    assert cases(store, settings, **{**LATE, "hours": 4}) == ["alps", "lot"]
    for column in ({"status": "paused"}, {"status": "active", "priority": 20}):
        with store.write() as session:
            session.execute(sa.update(Campaign).values(**column))
        assert cases(store, settings, **LATE) == []


def test_failures_alike_are_counted(store: Store, settings: Settings) -> None:
    with store.write() as session:
        for n in range(5):
            events.note_anomaly(session, NOW - HOUR, "processor", "ValueError", f"case {n}")
        events.note_anomaly(session, NOW - HOUR, "input", "rejected Level-1C", "once")
    assert cases(store, settings, when="failures", count=5, hours=2) == ["processor, ValueError"]
    assert cases(store, settings, when="failures", count=6, hours=2) == []
    assert cases(store, settings, when="failures", count=5, hours=0.5) == []


def test_lost_workers_are_counted_by_host(store: Store, settings: Settings) -> None:
    for n, (host, outcome) in enumerate([("a", "lost"), ("a", "fenced"), ("a", "failed"), ("b", "lost")]):
        job = date(store, "alps", "retry", age=(3 + n) * HOUR)
        with store.write() as session:
            session.add(Attempt(job_id=job, token=n, owner="x", host=host, claimed=NOW, ended=NOW - n * HOUR, outcome=outcome))  # noqa: E501  # fmt: skip
    assert cases(store, settings, when="lost", count=2, hours=3) == ["a"]
    assert cases(store, settings, when="lost", count=1, hours=9) == ["a", "b"]
    assert cases(store, settings, when="lost", count=2, hours=0.5) == []
    assert cases(store, settings, when="lost", count=1, hours=9, sites=["lot"]) == []


def test_a_source_is_silent_that_was_heard_once(store: Store, settings: Settings) -> None:
    silent = {"when": "silent", "hours": 6}
    assert cases(store, settings, **silent) == cases(store, settings, **silent, sites=["alps", "lot"]) == []
    date(store, "alps", age=7 * HOUR)
    assert cases(store, settings, **silent) == ["all sources"]
    date(store, "lot", age=2 * HOUR)
    assert cases(store, settings, **silent) == []
    assert cases(store, settings, **silent, sites=["alps", "lot"]) == ["alps"]


def test_production_is_idle_only_if_dates_wait(store: Store, settings: Settings) -> None:
    assert cases(store, settings, when="idle", hours=2) == []
    date(store, "alps", "published", age=9 * HOUR)
    assert cases(store, settings, when="idle", hours=2) == []
    date(store, "alps", "ready", age=3 * HOUR)
    assert cases(store, settings, when="idle", hours=2) == ["production"]
    assert cases(store, settings, when="idle", hours=4) == []


@pytest.mark.parametrize(("free", "found"), [(3e9, ["archive"]), (50e9, [])])
def test_a_disk_that_fills_is_told(
    free: float, found: list[str], store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, free))
    assert cases(store, settings, when="disk", free_gb=5) == found
    assert cases(store, settings, when="disk", days=7) == []  # nothing grows


# When somebody is told


def test_an_alert_is_opened_repeated_and_over(store: Store, settings: Settings) -> None:
    rules = rules_of(**LATE)
    job = date(store, "alps")
    for after, told in ((0, ["opened"]), (9, []), (10, ["again"]), (11, []), (20.5, ["again"])):
        before = len(messages(store))
        watch.check(store, settings, rules, NOW + after * HOUR)
        assert messages(store)[before:] == told, after
    with store.write() as session:
        session.get_one(Job, job).state = "published"
    watch.check(store, settings, rules, NOW + 21 * HOUR)
    watch.check(store, settings, rules, NOW + 40 * HOUR)
    assert messages(store) == ["opened", "again", "again", "over"]
    with store.write() as session:
        session.get_one(Job, job).state = "ready"
    watch.check(store, settings, rules, NOW + 41 * HOUR)
    assert messages(store)[-1] == "opened"
    with store.read() as session:
        assert len(session.scalars(sa.select(Alert)).all()) == 2


def test_what_comes_and_goes_is_told_once(store: Store, settings: Settings) -> None:
    """It must last before it is told, and be gone for a while before it is over."""
    rules = rules_of(**{**LATE, "lasting_minutes": 10, "calm_minutes": 30})
    job = date(store, "alps")

    def look(minutes: int, state: str) -> list[str]:
        with store.write() as session:
            session.get_one(Job, job).state = state
        watch.check(store, settings, rules, NOW + minutes * MINUTE)
        return messages(store)

    assert look(0, "ready") == look(9, "ready") == []
    assert look(11, "ready") == ["opened"]
    assert look(20, "published") == look(25, "ready") == look(50, "published") == ["opened"]
    assert look(56, "published") == ["opened", "over"]


def test_one_that_was_never_told_is_over_in_silence(store: Store, settings: Settings) -> None:
    rules = rules_of(**{**LATE, "lasting_minutes": 60})
    job = date(store, "alps")
    watch.check(store, settings, rules, NOW)
    with store.write() as session:
        session.get_one(Job, job).state = "published"
    watch.check(store, settings, rules, NOW + 5 * MINUTE)
    assert messages(store) == []
    with store.read() as session:
        assert watch.open_alerts(session) == []


@pytest.mark.parametrize(
    ("where", "told"), [((), []), (("alps",), ["lot"]), (("alps", "lot"), []), (("lot",), ["alps"])]
)
def test_maintenance_of_the_site_silences(
    where: tuple[str, ...], told: list[str], store: Store, settings: Settings
) -> None:
    date(store, "alps")
    date(store, "lot")
    maintain(store, -HOUR, HOUR, *where)
    watch.check(store, settings, rules_of(**LATE), NOW)
    with store.read() as session:
        assert [alert.subject for alert in watch.open_alerts(session)] == told
    watch.check(store, settings, rules_of(**LATE), NOW + 2 * HOUR)
    with store.read() as session:
        assert {alert.subject for alert in watch.open_alerts(session)} == {"alps", "lot"}
    assert messages(store) == ["opened"] * 2


def test_maintenance_silences_repeats_and_not_who_wants_to_know(store: Store, settings: Settings) -> None:
    date(store, "alps")
    watch.check(store, settings, rules_of(**LATE), NOW)
    maintain(store, 9 * HOUR, 13 * HOUR, "alps")
    watch.check(store, settings, rules_of(**LATE), NOW + 12 * HOUR)
    assert messages(store) == ["opened"]
    watch.check(store, settings, rules_of(**LATE, silenced_by_maintenance=False), NOW + 12 * HOUR)
    assert messages(store) == ["opened", "again"]


def test_maintenance_of_a_site_does_not_silence_the_centre(store: Store, settings: Settings) -> None:
    date(store, "alps")
    maintain(store, -HOUR, HOUR, "alps")
    watch.check(store, settings, rules_of(when="silent", hours=6), NOW)
    assert messages(store) == ["opened"]


def test_a_rule_that_is_gone_leaves_no_alert(store: Store, settings: Settings) -> None:
    date(store, "alps")
    watch.check(store, settings, rules_of(**LATE), NOW)
    watch.check(store, settings, Rules(), NOW)
    with store.read() as session:
        assert watch.open_alerts(session) == []


def test_many_watchers_tell_once(store: Store, settings: Settings) -> None:
    for site in SITES:
        date(store, site)
    with mail_server() as box, ThreadPoolExecutor(6) as pool:
        team = {"to": "mail", "host": "127.0.0.1", "port": box.port, "sender": "a@b", "recipients": ["c@d"]}
        rules = Rules.model_validate({"rules": {"one": {**LATE, "senders": ["team"]}}, "senders": {"team": team}})

        def look(_: int) -> None:
            watch.check(store, settings, rules)
            watch.send(store, rules)

        list(pool.map(look, range(12)))
        assert sorted(mail["subject"] for mail in box.mails) == ["[muscate] one, alps", "[muscate] one, lot"]


# The ways out


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_address() as hook:
        yield hook


def told(box: Mailbox, hook: Hook, tmp_path: Path) -> Rules:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    return Rules.model_validate(
        {
            "rules": {"one": {**LATE, "senders": ["team", "chat", "log"]}},
            "senders": {
                "team": {
                    "to": "mail",
                    "host": "127.0.0.1",
                    "port": box.port,
                    "sender": "muscate@a.example",
                    "recipients": ["anna@a.example", "ben@b.example"],
                },
                "chat": {"to": "webhook", "url": f"http://127.0.0.1:{hook.port}/hook?x=1", "secret_file": str(secret)},
            },
        }
    )


def test_a_mail_and_a_request_say_what_is_wrong(
    box: Mailbox, hook: Hook, store: Store, settings: Settings, tmp_path: Path
) -> None:
    rules = told(box, hook, tmp_path)
    date(store, "alps")
    watch.check(store, settings, rules)
    assert watch.send(store, rules) == 3
    assert watch.send(store, rules) == 0
    (mail,) = box.mails
    assert box.recipients == ["anna@a.example", "ben@b.example"]
    assert mail["subject"] == "[muscate] one, alps"
    assert "dates of alps that wait: 1, the oldest for 7.0 h" in mail.get_content()
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["date"].datetime.tzinfo is not None
    ((path, headers, body, raw),) = hook.got
    assert path == "/hook?x=1"
    assert (body["what"], body["rule"], body["subject"]) == ("opened", "one", "alps")
    assert headers["X-Muscate-Signature"] == "sha256=" + hmac.new(b"s3cret", raw, "sha256").hexdigest()
    assert headers["Idempotency-Key"] == body["id"]
    with store.read() as session:
        assert all(row.ended and not row.fault for row in session.scalars(sa.select(AlertMessage)))


def test_what_does_not_answer_is_tried_again_and_given_up(
    box: Mailbox, hook: Hook, store: Store, settings: Settings, tmp_path: Path
) -> None:
    rules = told(box, hook, tmp_path)
    box.refuses.add("RCPT")
    hook.status = 500
    date(store, "alps")
    watch.check(store, settings, rules)
    assert watch.send(store, rules) == 1  # the log
    with store.read() as session:
        assert {row.fault for row in watch.unsent(session)} >= {"127.0.0.1: answers 500"}
    assert watch.send(store, rules) == 0  # not yet
    box.refuses.clear()
    for _ in range(len(watch.WAITS)):
        with store.write() as session:
            session.execute(sa.update(AlertMessage).where(AlertMessage.ended.is_(None)).values(due=NOW - HOUR))
        watch.send(store, rules)
    assert len(box.mails) == 1
    assert len(hook.got) == 1 + len(watch.WAITS)
    with store.read() as session:
        assert session.scalar(sa.select(sa.func.count()).where(AlertMessage.ended.is_(None))) == 0
        assert [(row.sender, row.fault) for row in watch.unsent(session)] == [("chat", "127.0.0.1: answers 500")]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_answer_that_leads_elsewhere_is_not_followed(
    status: int, box: Mailbox, hook: Hook, store: Store, settings: Settings, tmp_path: Path
) -> None:
    with web_address() as elsewhere:
        hook.status, hook.location = status, f"http://127.0.0.1:{elsewhere.port}/"
        rules = told(box, hook, tmp_path)
        date(store, "alps")
        watch.check(store, settings, rules)
        watch.send(store, rules)
        assert elsewhere.got == []
    with store.read() as session:
        assert [row.fault for row in watch.unsent(session)] == [f"127.0.0.1: answers {status}"]


def test_a_server_that_never_ends_is_cut_off(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "TOTAL", 0.5)
    hook.trickles = True
    way = reading.Webhook(to="webhook", url=f"http://127.0.0.1:{hook.port}/")
    message = senders.Message("k", "r", "s", "info", "opened", "l", NOW, NOW)
    began = time.monotonic()
    with pytest.raises(senders.Unreachable):
        senders.by_webhook(way, message)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("port", [1])
def test_nobody_there_is_a_fault_by_name(port: int) -> None:
    message = senders.Message("k", "r", "s\r\nBcc: x@y", "info", "opened", "l", NOW, NOW)
    with pytest.raises(senders.Unreachable, match=r"127\.0\.0\.1"):
        senders.by_mail(reading.Mail(to="mail", host="127.0.0.1", port=port, sender="a@b", recipients=["c@d"]), message)
    with pytest.raises(senders.Unreachable, match=r"127\.0\.0\.1"):
        senders.by_webhook(reading.Webhook(to="webhook", url=f"http://127.0.0.1:{port}/"), message)


def test_a_subject_makes_no_header_of_its_own(box: Mailbox) -> None:
    way = reading.Mail(to="mail", host="127.0.0.1", port=box.port, sender="a@b", recipients=["c@d"])
    senders.by_mail(way, senders.Message("k", "r", "s\r\nBcc: x@y", "info", "over", "l\n.\nQUIT", NOW, NOW))
    (mail,) = box.mails
    assert mail["bcc"] is None
    assert box.recipients == ["c@d"]
    assert mail["subject"] == "[muscate] over: r, s Bcc: x@y"
    assert ".\nQUIT" in mail.get_content().replace("\r\n", "\n")


def test_a_restart_repeats_nothing_and_loses_nothing(
    box: Mailbox, hook: Hook, store: Store, settings: Settings, tmp_path: Path
) -> None:
    """Stopped between the look and the sending, and between two messages."""
    rules = told(box, hook, tmp_path)
    date(store, "alps")
    watch.check(store, settings, rules)
    with store.write() as session:
        taken = watch._take(session)  # and here it was stopped
        assert taken is not None
    again = Store(store.engine.url.render_as_string(hide_password=False))
    watch.check(again, settings, rules)
    assert watch.send(again, rules) == 2
    with again.write() as session:
        session.get_one(AlertMessage, taken[0]).due = NOW - HOUR  # its lease ran out
    assert watch.send(again, rules) == 1
    assert (len(box.mails), len(hook.got)) == (1, 1)
    again.dispose()


# The file


def test_the_file_that_ships_is_good_and_says_so_to_the_log_alone(settings: Settings) -> None:
    assert reading.path(settings) == reading.SHIPPED
    rules = reading.read(reading.SHIPPED)
    assert {rule.when for rule in rules.rules.values()} == set(CONDITIONS)
    assert {sender for rule in rules.rules.values() for sender in rule.senders} == {"log"}


def test_its_examples_are_good_too(tmp_path: Path) -> None:
    lines = reading.SHIPPED.read_text().splitlines()
    first = lines.index("# [senders.team]")
    last = next(n for n, line in enumerate(lines) if n > first and line.startswith("# Each rule"))
    text = "\n".join(line.removeprefix("# ").removeprefix("#") for line in lines[first:last])
    for name in ("smtp", "hook"):
        (tmp_path / name).write_text("x")
        text = text.replace(f"/etc/muscate/{name}", str(tmp_path / name))
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    assert set(reading.read(file).senders) == {"log", "team", "chat"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[rules.a", "is no TOML"),
        ("[rules.a]\nwhen = 'tired'", "rules.a.when"),
        ("[rules.a]\nwhen = 'late'\nhour = 3", "rules.a.hour"),
        ("[rules.a]\nwhen = 'late'\nhours = -3", "rules.a.hours"),
        ("[rules.a]\nwhen = 'late'\nhours = nan", "rules.a.hours"),
        ("[rules.a]\nwhen = 'late'\nsenders = ['x']", "rules.a: there is no sender 'x'"),
        ("[rules.a]\nwhen = 'late'\nsenders = []", "rules.a.senders"),
        ("[rules.a]\nwhen = 'disk'", "free_gb or days"),
        ("[senders.a]\nto = 'pigeon'", "senders.a"),
        ("[senders.a]\nto = 'webhook'\nurl = 'file:///etc/passwd'", "no http address"),
        ("[senders.a]\nto = 'webhook'\nurl = 'http://u:p@h/'", "without a password"),
        ("[senders.a]\nto = 'webhook'\nurl = 'http://h/'\nsecret_file = '/nowhere'", "/nowhere: there is no such file"),
        ("[senders.a]\nto = 'mail'\nhost = 'h'\nsender = 'x'\nrecipients = ['a@b']", "no mail address"),
        ("[senders.a]\nto = 'mail'\nhost = 'h'\nsender = 'a@b\\nBcc: c@d'\nrecipients = ['a@b']", "no mail address"),
        ("[senders.a]\nto = 'mail'\nhost = 'h'\nsender = 'a@b'\nrecipients = []", "recipients"),
        ("[senders.a]\nto = 'mail'\nhost = 'h'\nuser = 'u'\nsender = 'a@b'\nrecipients = ['a@b']", "starttls or tls"),
        ("\xff", "can't be read"),
        (None, "can't be read"),
    ],
)
def test_a_wrong_file_is_one_clear_line(text: str | None, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    if text is None:
        file.mkdir()
    else:
        file.write_text(text, encoding="latin-1")
    with pytest.raises(BadRules) as refused:
        reading.read(file)
    assert fault in str(refused.value)
    assert str(refused.value).startswith("alerts.toml: ")
    assert len(str(refused.value).splitlines()) == 1


def test_commands_tell_what_holds_and_refuse_a_wrong_file(tmp_path: Path) -> None:
    store = Store(Settings(home=tmp_path).url)
    store.upgrade()
    store.dispose()
    done = muscate("alerts", "check", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"file", "rules", "holds"}
    listed = muscate("alerts", "list", home=tmp_path)
    assert (listed.returncode, listed.stdout) == (0, "no alert is open\n")
    (tmp_path / "alerts.toml").write_text("[rules.a]\nwhen = 'tired'\n")
    for command in (("alerts", "check"), ("dispatch",), ("up",)):
        refused = muscate(*command, home=tmp_path)
        assert refused.returncode == 1
        assert len(refused.stderr.splitlines()) == 1
        assert "alerts.toml: rules.a.when" in refused.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The certificate of a mail server on this machine, signed by itself, and what the server speaks with."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


def by_starttls(box: Mailbox, password: Path, host: str = "localhost") -> None:
    sender = {"to": "mail", "host": host, "port": box.port, "security": "starttls", "user": "centre"}
    people = {"sender": "muscate@a.example", "recipients": ["anna@a.example"]}
    given = Mail.model_validate({**sender, **people, "password_file": password})
    now = datetime.now(UTC)
    senders.by_mail(given, Message("k", "late", "alps", "warning", "opened", "alps is late", now, now))


def test_a_mail_by_starttls_is_enciphered_before_anything_is_told(
    certificate: tuple[Path, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    password.chmod(0o600)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(certificate[1]) as box:
        by_starttls(box, password)
        assert box.logins == ["\0centre\0s3cret"]
        assert [mail["subject"] for mail in box.mails] == ["[muscate] late, alps"]
        assert {word for word, hidden in box.said if not hidden} == {"EHLO", "STARTTLS"}
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            by_starttls(box, password, "127.0.0.1")  # not the name that the certificate is of


def test_no_password_goes_to_a_server_that_can_not_encipher_or_is_not_known(
    certificate: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("s3cret")
    password.chmod(0o600)
    with mail_server(certificate[1]) as box, pytest.raises(Unreachable, match=r"(?i)certificate"):
        by_starttls(box, password)  # signed by nobody whom this machine trusts
    with mail_server() as plain, pytest.raises(Unreachable, match=r"(?i)starttls"):
        by_starttls(plain, password)
    for one in (box, plain):
        assert not one.logins
        assert not one.mails
        assert not any(word in ("AUTH", "MAIL", "DATA") for word, _ in one.said)
