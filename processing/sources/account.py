"""Who asks: one token for all connections of an account, got once and refreshed in time (OpenID Connect)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from processing.distribution import transfer
from processing.distribution.transfer import Link, Refused
from processing.errors import MuscateError, Unreachable, WrongSetting

#: A token is not used in its last moments. [s]
MARGIN = 30.0
#: An account that has too many sessions is not asked for another one before. [s]
BUSY = 60.0
#: Of a one-time password: RFC 6238. [s]
STEP = 30


class WrongCredentials(MuscateError):
    """An account that its provider doesn't let in: nobody tries again by himself."""

    reason_class = "input"


@dataclass(frozen=True)
class Credentials:
    """Name, password, and the secret of one-time passwords (base32) where the account has them."""

    user: str
    password: str = field(repr=False)
    totp: str = field(default="", repr=False)


def credentials(name: str) -> Credentials:
    """Those of an account, from the environment (``MUSCATE_CDSE_USER``, ``_PASSWORD``, ``_TOTP``), or from a file.

    ``MUSCATE_CDSE_FILE`` names it: JSON with ``user``, ``password``, ``totp``, which nobody else may read.

    Raises
    ------
    WrongSetting
        If they are not there, or others could read the file.
    """
    before = f"MUSCATE_{name.upper()}_"
    file = os.environ.get(f"{before}FILE")
    if file is None:
        given = {key: os.environ.get(before + key.upper(), "") for key in ("user", "password", "totp")}
    else:
        given = _of_file(Path(file), before)
    if not given.get("user") or not given.get("password"):
        raise WrongSetting(f"{before}USER and {before}PASSWORD (or {before}FILE) name no account")
    return Credentials(given["user"], given["password"], given.get("totp", ""))


def _of_file(path: Path, before: str) -> dict[str, str]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise WrongSetting(f"{before}FILE: {path}: others may read it (chmod 600)")
        given = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in given.items()}
    except (OSError, ValueError, AttributeError) as fault:
        raise WrongSetting(f"{before}FILE: {path}: can't be read: {type(fault).__name__}") from None


def one_time(secret: str, at: float) -> str:
    """Six digits for a moment: RFC 6238, with SHA-1.

    Raises
    ------
    WrongSetting
        If the secret is no base32.
    """
    plain = secret.replace(" ", "").upper()
    try:
        key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except binascii.Error:
        raise WrongSetting("the secret of the one-time passwords is no base32") from None
    digest = hmac.new(key, struct.pack(">Q", int(at) // STEP), "sha1").digest()
    place = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[place : place + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


@dataclass
class Account:
    """One account at one provider, for all threads.

    Attributes
    ----------
    url : str
        Of the provider's tokens.
    credentials : Credentials
    client : str
        As which program it asks.
    clock : callable
        Time. [s]
    """

    url: str
    credentials: Credentials
    client: str = "cdse-public"
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _access: str = field(default="", repr=False)
    _refresh: str = field(default="", repr=False)
    _until: float = 0.0
    _refresh_until: float = 0.0
    _refused: str = ""
    _busy: str = ""
    _busy_until: float = 0.0

    def headers(self) -> Mapping[str, str]:
        """What proves who asks; the token is refreshed when it is about to end, by one thread for all.

        Raises
        ------
        WrongCredentials
            If the provider lets the account in no more; it is not asked again.
        Unreachable
            If it gives no token now, as to an account with too many sessions.
        """
        with self._lock:
            if self._refused:
                raise WrongCredentials(self._refused)
            if self.clock() < self._busy_until:
                raise Unreachable(self._busy)
            if self.clock() > self._until - MARGIN:
                self._renew()
            return {"Authorization": f"Bearer {self._access}"}

    def forget(self) -> None:
        """That the token is refused, though it should last: the next request gets another one."""
        with self._lock:
            self._until = 0.0

    def _renew(self) -> None:
        given = {"client_id": self.client}
        if self._refresh and self.clock() < self._refresh_until - MARGIN:
            try:
                self._ask({**given, "grant_type": "refresh_token", "refresh_token": self._refresh})
                return
            except Refused:
                self._refresh = ""  # the session was ended there: begin another one
        known = self.credentials
        given |= {"grant_type": "password", "username": known.user, "password": known.password}
        if known.totp:
            given["totp"] = one_time(known.totp, time.time())
        try:
            self._ask(given)
        except Refused as fault:
            if "session" in str(fault).lower():
                self._busy, self._busy_until = str(fault), self.clock() + BUSY
                raise Unreachable(self._busy) from None
            self._refused = f"{known.user}: {self.url.split('/')[2]} doesn't let the account in ({fault.status})"
            raise WrongCredentials(self._refused) from None

    def _ask(self, given: Mapping[str, str]) -> None:
        link = Link()
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            text = transfer.text(link, "POST", self.url, urlencode(given).encode(), kind)
            try:
                said = json.loads(text)
                access, life = said["access_token"], float(said["expires_in"])
                if not isinstance(access, str):
                    raise TypeError
                refresh, lasts = str(said.get("refresh_token") or ""), float(said.get("refresh_expires_in") or 0)
            except (ValueError, KeyError, TypeError, AttributeError):  # what came may be a secret
                raise Unreachable(f"{self.url}: what answers is no token") from None
            now = self.clock()
            self._access, self._until = access, now + life
            self._refresh, self._refresh_until = refresh, now + lasts
        finally:
            link.close()
