"""Receivers of alerts on loopback: a mail server that speaks SMTP, and a web address."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mailbox:
    """What a mail server got, and how it answers: `refuses` commands by their first word.

    Attributes
    ----------
    said : list of (str, bool)
        First words of the commands, and whether they came enciphered.
    logins : list of str
        What was given to prove who sends.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    said: list[tuple[str, bool]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@contextmanager
def mail_server(secret: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """RFC 5321 as far as a client needs it that sends a mail; with a certificate RFC 3207 and 4954 (STARTTLS, AUTH)."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 localhost")
            while line := self.rfile.readline():
                word = line.decode().split(":")[0].split()[0].upper()
                hidden = isinstance(self.connection, ssl.SSLSocket)
                box.said.append((word, hidden))
                if word in box.refuses:
                    self.say("451 not now")
                elif word == "EHLO" and secret is not None:
                    self.say("250-localhost\r\n250 " + ("AUTH PLAIN" if hidden else "STARTTLS"))
                elif word == "STARTTLS" and secret is not None:
                    self.say("220 go on")
                    try:
                        self.connection = secret.wrap_socket(self.connection, server_side=True)
                    except OSError:
                        return
                    self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                elif word == "AUTH":
                    box.logins.append(base64.b64decode(line.split()[2]).decode())
                    self.say("235 ok")
                elif word == "DATA":
                    self.say("354 go on")
                    body = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        body += part[1:] if part.startswith(b"..") else part
                    box.mails.append(message_from_bytes(body, policy=policy.default))  # type: ignore[arg-type]
                    self.say("250 ok")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    if word == "RCPT":
                        box.recipients.append(line.decode().split("<")[1].split(">")[0])
                    self.say("250 ok")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        box.port = server.server_address[1]
        yield box
        server.shutdown()


@dataclass
class Hook:
    """What a web address got, and what it answers; `trickles`: a header a moment, without end."""

    port: int = 0
    got: list[tuple[str, dict[str, str], Any, bytes]] = field(default_factory=list)
    status: int = 200
    location: str = ""
    trickles: bool = False


@contextmanager
def web_address() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.got.append((self.path, dict(self.headers.items()), json.loads(body), body))
            if hook.trickles:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                for n in range(80):
                    try:
                        self.wfile.write(f"X-{n}: x\r\n".encode())
                        self.wfile.flush()
                    except OSError:
                        return
                    time.sleep(0.1)
                return
            self.send_response(hook.status)
            if hook.location:
                self.send_header("Location", hook.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        hook.port = server.server_address[1]
        yield hook
        server.shutdown()
