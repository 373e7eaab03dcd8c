"""Other houses' catalogues: all of it found whatever they do, and only whole packages in the drop box."""

from __future__ import annotations

import errno
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks import sources
from processing.distribution import transfer
from processing.errors import Unreachable, WrongSetting
from processing.settings import Settings
from processing.sources import account as accounts
from processing.sources.account import Account, Credentials, WrongCredentials, credentials, one_time
from processing.sources.fetching import CONNECTIONS, TOKENS, UNKNOWN, Fetcher, Origin
from processing.sources.odata import OData
from processing.sources.offers import SourceDrift
from processing.store import Store
from processing.store.models import Anomaly
from tests.provider.app import FIRST, Provider, Row, served

TILES = ("31TCJ", "31TDJ")


def rows(count: int, apart: timedelta = timedelta(minutes=7)) -> list[Row]:
    return [Row(str(n), TILES[n % 2], FIRST + n * apart, sums=False) for n in range(count)]


@pytest.fixture
def centre(tmp_path: Path) -> tuple[Settings, Store]:
    settings = Settings(home=tmp_path / "home", demonstration=False)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    return settings, store


def fetcher(centre: tuple[Settings, Store], address: str, password: str = "right", page: int = 1000) -> Fetcher:
    source = OData(f"{address}/odata/v1", f"{address}/odata/v1", page)
    account = Account(f"{address}/token", Credentials("me", password))
    return Fetcher(*centre, [Origin(source, account)], clock=lambda: FIRST + timedelta(days=20))


# Listing


@pytest.mark.parametrize("fault", ["", "count lies", "shifting pages", "two time formats"])
@pytest.mark.parametrize("apart", [timedelta(minutes=7), timedelta(0)])
def test_listing_has_all_whatever_the_catalogue_does(fault: str, apart: timedelta) -> None:
    """Pages of 50; with `apart` 0 all were published in one moment."""
    provider = Provider(rows(333, apart), fault)
    with served(provider) as address:
        source = OData(f"{address}/odata/v1", address, 50)
        listing = source.listing(TILES, FIRST, FIRST + timedelta(days=30))
    assert [offer.key for offer in listing.offers] == sorted((r.key for r in provider.rows), key=lambda key: (
        next(r.published for r in provider.rows if r.key == key), key))  # fmt: skip
    assert listing.doubts == ()


@pytest.mark.slow
def test_a_catalogue_in_all_kinds_of_trouble_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    _, counts, wrong = sources.tried(len(sources.KINDS), 1200)
    assert wrong == []
    assert counts == {"right": len(sources.KINDS) + 1}  # one has two halves


@pytest.mark.slow
def test_listing_goes_beyond_ten_thousand_rows() -> None:
    provider = Provider(rows(12_000, timedelta(seconds=20)))
    with served(provider) as address:
        listing = OData(f"{address}/odata/v1", address).listing(TILES, FIRST, FIRST + timedelta(days=30))
    assert len(listing.offers) == 12_000


def test_what_one_order_hides_the_other_shows() -> None:
    provider = Provider(rows(30), "order hides")
    provider.rows[11].fault = "hidden"
    with served(provider) as address:
        listing = OData(f"{address}/odata/v1", address, 7).listing(TILES, FIRST, FIRST + timedelta(days=30))
    assert len(listing.offers) == 30
    assert [provider.rows[11].name in doubt for doubt in listing.doubts] == [True]


def test_a_changed_schema_is_told_with_the_fields_name() -> None:
    with served(Provider(rows(3), "changed schema")) as address, pytest.raises(SourceDrift, match="PublicationDate"):
        OData(f"{address}/odata/v1", address).listing(TILES, FIRST, FIRST + timedelta(days=30))


# Packages

FATES = {
    "": ("fetched", ""),
    "cut": ("fetched", ""),
    "busy": ("fetched", ""),
    "flipped": ("fetched", ""),
    "token ends": ("fetched", ""),
    "flipped for ever": ("rejected", "md5"),
    "html": ("rejected", "md5"),
    "wrong size": ("fetched", ""),
    "gone": ("rejected", "404 Product not found"),
}


def test_each_package_is_right_or_refused_with_the_reason(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each kind; a second round brings nothing again; one token served all connections."""
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    settings, store = centre
    provider = Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n), fault) for n, fault in enumerate(FATES)])
    provider.rows += [
        Row("90", "31TCJ", FIRST + timedelta(hours=90), mode="INS-RAW"),
        Row("91", "31TCJ", FIRST + timedelta(days=20), sums=False),
        Row("92", "31TCJ", FIRST + timedelta(hours=92), sums=False),
        Row("93", "32TQM", FIRST + timedelta(hours=93)),
    ]
    provider.rows[-3].published -= timedelta(hours=1)
    with served(provider) as address:
        fates = {fate.name: fate for fate in fetcher(centre, address).round(["31TCJ"], FIRST)}
        for row in provider.rows[: len(FATES)]:
            state, reason = FATES[row.fault]
            assert fates[row.name].state == state, (row.fault, fates[row.name])
            assert reason in fates[row.name].reason
            assert (settings.inbox / f"{row.name}.zip").exists() == (state == "fetched")
            if state == "fetched":
                assert (settings.inbox / f"{row.name}.zip").read_bytes() == row.body
        raw, late, without, elsewhere = provider.rows[len(FATES) :]
        assert (fates[raw.name].state, raw.asked) == ("not wanted", 0)
        assert "INS-RAW" in fates[raw.name].reason
        assert (fates[late.name].state, fates[late.name].reason) == ("waits", "has no sum yet")
        assert fates[without.name].state == "fetched"
        assert elsewhere.name not in fates
        assert provider.grants["password"] == 1
        assert sum(provider.grants.values()) <= 2  # the one that ended before its time
        assert provider.most_at_once <= 4
        asked = [row.asked for row in provider.rows]
        late.sums, late.modified = True, FIRST + timedelta(days=20)
        again = fetcher(centre, address)
        again.clock = lambda: FIRST + timedelta(days=21)
        assert {fate.name: fate.state for fate in again.round(["31TCJ"], FIRST)} == {late.name: "fetched"}
        assert [row.asked for row in provider.rows if row is not late] == [
            count for row, count in zip(provider.rows, asked, strict=True) if row is not late
        ]
    with store.read() as session:
        told = session.scalars(sa.select(Anomaly.signature)).all()
    assert told == ["package of a source that can't be used"]
    assert list((settings.home / "sources").glob("*.zip*")) == []


def test_what_the_source_takes_back_is_flagged(centre: tuple[Settings, Store]) -> None:
    provider = Provider([Row("1", "31TCJ", FIRST)])
    with served(provider) as address:
        assert [fate.state for fate in fetcher(centre, address).round(["31TCJ"], FIRST)] == ["fetched"]
        provider.rows[0].deleted, provider.rows[0].modified = "Corrupted product", FIRST + timedelta(days=19)
        (fate,) = fetcher(centre, address).round(["31TCJ"], FIRST)
        assert (fate.state, fate.reason) == ("withdrawn", "Corrupted product")
        assert fetcher(centre, address).round(["31TCJ"], FIRST) == []
    with centre[1].read() as session:
        assert "Corrupted product" in session.scalars(sa.select(Anomaly)).one().last


def test_wrong_password_is_one_line_and_no_storm(centre: tuple[Settings, Store]) -> None:
    provider = Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n)) for n in range(9)])
    with served(provider) as address:
        fates = fetcher(centre, address, "wrong").round(["31TCJ"], FIRST)
    assert {fate.state for fate in fates} == {"waits"}
    assert {fate.reason for fate in fates} == {f"me: {address.split('/')[2]} doesn't let the account in (401)"}
    assert provider.grants["password"] == 1
    assert not any(row.asked for row in provider.rows)


def test_what_is_refused_to_who_asks_waits_and_comes_when_he_may(centre: tuple[Settings, Store]) -> None:
    """No package is to blame for it, and few of them are asked for."""
    provider = Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n)) for n in range(40)])
    with served(provider) as address:
        source = OData(f"{address}/odata/v1", f"{address}/odata/v1")
        bare = Fetcher(*centre, [Origin(source)], clock=lambda: FIRST + timedelta(days=20))
        for look in (1, 2):
            fates = bare.round(["31TCJ"], FIRST)
            assert [fate.state for fate in fates] == ["waits"] * 40
            assert sum(row.asked for row in provider.rows) <= look * (UNKNOWN - 1 + CONNECTIONS)
        later = fetcher(centre, address).round(["31TCJ"], FIRST)
    assert [fate.state for fate in later] == ["fetched"] * 40
    with centre[1].read() as session:
        assert session.scalars(sa.select(Anomaly)).one().signature == "source gives nothing to who asks: cdse"


def test_an_account_whose_tokens_open_nothing_makes_no_storm(centre: tuple[Settings, Store]) -> None:
    provider = Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n)) for n in range(40)])
    provider.ended = {f"Bearer t{n}" for n in range(1000)}
    with served(provider) as address:
        fates = fetcher(centre, address).round(["31TCJ"], FIRST)
    assert [fate.state for fate in fates] == ["waits"] * 40
    assert sum(row.asked for row in provider.rows) <= (UNKNOWN - 1 + CONNECTIONS) * TOKENS


def test_one_package_that_is_forbidden_holds_no_other_up(centre: tuple[Settings, Store]) -> None:
    made = [Row(str(n), "31TCJ", FIRST + timedelta(hours=n), "forbidden" if n < 9 else "") for n in range(12)]
    with served(Provider(made)) as address:
        fates = fetcher(centre, address).round(["31TCJ"], FIRST)
    assert [fate.state for fate in fates] == ["waits"] * 9 + ["fetched"] * 3
    assert {fate.reason for fate in fates[:9]} == {"403 not within your licence"}


def test_a_disk_that_is_full_stops_a_look_and_the_next_one_goes_on(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, asked, really = (
        Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n)) for n in range(40)]),
        [],
        os.fsync,
    )

    def full(file: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{file}")).name.endswith(".part"):
            asked.append(file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(file)

    with served(provider) as address:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            fates = fetcher(centre, address).round(["31TCJ"], FIRST)
        assert [fate.state for fate in fates] == ["waits"] * 40
        assert all("No space left on device" in fate.reason for fate in fates)
        assert len(asked) <= CONNECTIONS
        parts = list((centre[0].home / "sources").glob("*.part"))
        assert len(parts) == len(asked)
        later = fetcher(centre, address).round(["31TCJ"], FIRST)
    assert [fate.state for fate in later] == ["fetched"] * 40
    assert sum(fate.moved for fate in later) <= sum(len(row.body) for row in provider.rows[len(parts) :])
    with centre[1].read() as session:
        assert session.scalars(sa.select(Anomaly)).one().signature == "no room for packages of sources"


@pytest.mark.parametrize(
    "said",
    [{"refresh_token": None, "refresh_expires_in": None}, {"refresh_expires_in": "soon"}, {"access_token": None}, []],
)
def test_an_answer_of_an_identity_provider_of_another_form_is_told(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    """Without a token to refresh with the account asks anew; what is no token is told in a line."""
    given = {"access_token": "t1", "expires_in": 600, **said} if isinstance(said, dict) else said
    monkeypatch.setattr(transfer, "text", lambda *_: json.dumps(given).encode())
    account = Account("http://localhost:1/token", Credentials("me", "right"))
    if said == {"refresh_token": None, "refresh_expires_in": None}:
        assert account.headers() == {"Authorization": "Bearer t1"}
        return
    with pytest.raises(Unreachable, match="what answers is no token"):
        account.headers()


def test_token_is_refreshed_in_time_by_one_for_all() -> None:
    provider, now = Provider(), [0.0]
    with served(provider) as address:
        account = Account(f"{address}/token", Credentials("me", "right"), clock=lambda: now[0])
        assert account.headers() == account.headers()
        now[0] = 600 - accounts.MARGIN + 1
        account.headers()
        now[0] = 10_000
        account.headers()
    assert provider.grants == {"password": 2, "refresh_token": 1}
    with served(Provider(password="other")) as address:
        account = Account(f"{address}/token", Credentials("me", "right"))
        for _ in range(3):
            with pytest.raises(WrongCredentials):
                account.headers()


def test_one_time_password_is_that_of_the_standard() -> None:
    """RFC 6238, appendix B, its last six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert [one_time(secret, at) for at in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]


def test_credentials_are_of_the_environment_or_of_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WrongSetting, match="MUSCATE_CDSE_USER"):
        credentials("cdse")
    file = tmp_path / "account.json"
    file.write_text('{"user": "me", "password": "hidden"}')
    monkeypatch.setenv("MUSCATE_CDSE_FILE", str(file))
    file.chmod(0o644)
    with pytest.raises(WrongSetting, match="chmod 600"):
        credentials("cdse")
    file.chmod(0o600)
    found = credentials("cdse")
    assert found.password == "hidden"
    assert "hidden" not in repr(found)
    assert "hidden" not in repr(Account("http://x/token", found))
