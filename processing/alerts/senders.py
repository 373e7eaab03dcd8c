"""The ways out of an alert: the log, mail, a web address. Each is bounded in time, and goes nowhere else."""

from __future__ import annotations

import hmac
import http.client
import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from processing.alerts.rules import Log, Mail, Webhook
from processing.errors import Unreachable

log = structlog.get_logger(__name__)

#: How long a server may take for one answer, and for all of a message. [s]
SECONDS, TOTAL = 10.0, 30.0
#: How much of an answer is read. [bytes]
ANSWER = 64 * 2**10


@dataclass(frozen=True)
class Message:
    """What is sent. `key` is its own for ever: one that comes twice can be told by it."""

    key: str
    rule: str
    subject: str
    severity: str
    what: str
    line: str
    opened: datetime
    made: datetime

    @property
    def title(self) -> str:
        """In one line."""
        word = {"opened": "", "again": "still: ", "over": "over: "}[self.what]
        return f"[muscate] {word}{self.rule}, {self.subject}"


def to_log(_: Log, message: Message) -> None:
    """Write a message into the log."""
    write = log.info if message.what == "over" else log.error if message.severity == "error" else log.warning
    write("alert", what=message.what, rule=message.rule, subject=message.subject, line=message.line)


def by_mail(sender: Mail, message: Message) -> None:
    """Send a message by mail.

    Raises
    ------
    Unreachable
        If the server can't be reached, or does not take it.
    """
    mail = EmailMessage()
    mail["From"], mail["To"] = sender.sender, ", ".join(sender.recipients)
    mail["Subject"] = " ".join(message.title.split())[:200]
    mail["Date"] = format_datetime(message.made.astimezone(UTC))
    mail["Message-ID"] = f"<{message.key}@{sender.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        f"{message.line}\n\nrule {message.rule}, {message.subject}\nseverity {message.severity}\n"
        f"since {message.opened.astimezone(UTC):%Y-%m-%d %H:%M} UTC\n"
    )
    try:
        context = ssl.create_default_context()
        if sender.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(sender.host, sender.port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(sender.host, sender.port, timeout=SECONDS)
        with server, _bounded(lambda: server.sock):
            if sender.security == "starttls":
                server.starttls(context=context)
            if sender.user:
                server.login(sender.user, _secret(sender.password_file))
            server.send_message(mail)
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise Unreachable(f"{sender.host}:{sender.port}: {_line(error)}") from None


def by_webhook(sender: Webhook, message: Message) -> None:
    """Send a message to a web address; as `post`."""
    secret = _secret(sender.secret_file) if sender.secret_file is not None else ""
    post(sender.url, json.dumps(as_json(message)).encode(), message.key, secret)


def post(url: str, body: bytes, key: str, secret: str = "") -> None:
    """Send JSON to a web address; an answer that leads elsewhere is not followed.

    Parameters
    ----------
    key : str
        By which a receiver knows what he has had already.
    secret : str
        Signs the body, where there is one: HMAC of SHA-256 in ``X-Muscate-Signature``.

    Raises
    ------
    Unreachable
        If it can't be reached, or its answer is not 2xx.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "User-Agent": "muscate", "Idempotency-Key": key}
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        if secret:
            headers["X-Muscate-Signature"] = f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _bounded(lambda: connection.sock):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read(ANSWER)
            status = answer.status
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise Unreachable(f"{parts.hostname}: {_line(error)}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise Unreachable(f"{parts.hostname}: answers {status}")


def as_json(message: Message) -> dict[str, Any]:
    """What a web address gets; ``text`` is what most chats show."""
    return {
        "id": message.key,
        "text": f"{message.title}: {message.line}",
        "what": message.what,
        "rule": message.rule,
        "subject": message.subject,
        "severity": message.severity,
        "line": message.line,
        "since": message.opened.astimezone(UTC).isoformat(),
        "time": message.made.astimezone(UTC).isoformat(),
    }


@contextmanager
def _bounded(opened: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut a connection off whose server says something now and then, but never comes to an end."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        found = opened()
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
        if late.is_set():  # what was cut off looks as if it had ended
            raise TimeoutError(f"took more than {TOTAL:g} s")
    finally:
        timer.cancel()


def _secret(file: Path | None) -> str:
    return "" if file is None else file.read_text(encoding="utf-8").strip()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


SENDERS: dict[type, Callable[[Any, Message], None]] = {Log: to_log, Mail: by_mail, Webhook: by_webhook}
