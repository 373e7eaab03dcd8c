"""Bulletins for programs: an Atom feed (RFC 4287), a calendar of maintenance (RFC 5545), and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lxml import etree

from dashboard import languages, markdown
from processing.store.bulletins import Step, Told

ATOM = "http://www.w3.org/2005/Atom"
#: Longest line of a calendar, without its end. [bytes]
LINE = 75


def urn(uid: str) -> str:
    """The name of a bulletin in a feed: it doesn't change with the address of the web."""
    return UUID(hex=uid).urn


def heading(one: Told, language: str) -> str:
    """Title with the kind of a bulletin before it, and how far it is."""
    text = languages.messages(language).gettext
    kind = {"news": text("News"), "incident": text("Incident"), "maintenance": text("Maintenance")}[one.kind]
    stage = f" ({stage_words(language)[one.stage]})" if one.stage else ""
    return f"{kind}{stage}: {one.title}"


def stage_words(language: str) -> dict[str, str]:
    """The stages of incidents and maintenance in words."""
    text = languages.messages(language).gettext
    return {
        "": "",
        "investigating": text("investigating"),
        "identified": text("cause known"),
        "monitoring": text("mended, being watched"),
        "resolved": text("resolved"),
        "planned": text("planned"),
        "begun": text("begun"),
        "over": text("over"),
        "cancelled": text("cancelled"),
    }


def atom(found: Sequence[Told], language: str, base: str, query: str = "") -> bytes:
    """The feed of bulletins, the last changed first.

    Parameters
    ----------
    base : str
        Address of the web, without a slash at the end.
    query : str
        Of the feed's own address, with its question mark.
    """
    text = languages.messages(language).gettext
    feed = etree.Element("feed", nsmap={None: ATOM})
    feed.set("{http://www.w3.org/XML/1998/namespace}lang", language)
    own = f"{base}/{language}/news.atom{query}"
    _add(feed, "id", own)
    _add(feed, "title", text("muscate: news, incidents and maintenance"))
    newest = max((one.changed for one in found), default=datetime(1970, 1, 1, tzinfo=UTC))
    _add(feed, "updated", _moment(newest))
    _add(_add(feed, "author"), "name", "muscate")
    _add(feed, "link", rel="self", type="application/atom+xml", href=own)
    _add(feed, "link", rel="alternate", type="text/html", href=f"{base}/{language}/news{query}")
    for one in sorted(found, key=lambda each: each.changed, reverse=True):
        entry = _add(feed, "entry")
        entry.set("{http://www.w3.org/XML/1998/namespace}lang", one.language)
        _add(entry, "id", urn(one.uid))
        _add(entry, "title", heading(one, language))
        _add(entry, "published", _moment(one.published or one.changed))
        _add(entry, "updated", _moment(one.changed))
        _add(entry, "category", term=one.kind)
        for site in one.sites:
            _add(entry, "category", term=f"site:{site}")
        _add(entry, "link", rel="alternate", type="text/html", href=f"{base}/{language}/news/{one.uid}")
        _add(entry, "content", "".join(_told(one, language)), type="html")
    document: bytes = etree.tostring(feed, xml_declaration=True, encoding="utf-8", pretty_print=True)
    return document


def _told(one: Told, language: str) -> Iterator[str]:
    """A bulletin with its updates, as HTML."""
    for step in one.steps:
        yield f"<p><strong>{_moment(step.time)} {stage_words(language)[step.stage]}</strong></p>"
        yield str(markdown.html(step.text))
    yield str(markdown.html(one.text))


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{ATOM}}}{tag}", **attributes)
    element.text = text
    return element


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def calendar(found: Sequence[Told], language: str, base: str) -> bytes:
    """Maintenance as a calendar that can be subscribed to. Its ids are for ever, its times in UTC."""
    text = languages.messages(language).gettext
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//muscate//maintenance//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_escaped(text('muscate: maintenance'))}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
    ]
    for one in found:
        if one.ends is None:
            continue
        where = ", ".join(one.sites) or text("the whole centre")
        lines += [
            "BEGIN:VEVENT",
            f"UID:{one.uid}@muscate",
            f"DTSTAMP:{_compact(one.changed)}",
            f"LAST-MODIFIED:{_compact(one.changed)}",
            f"SEQUENCE:{one.sequence}",
            f"DTSTART:{_compact(one.starts)}",
            f"DTEND:{_compact(one.ends)}",
            f"SUMMARY;LANGUAGE={one.language}:{_escaped(one.title)}",
            f"DESCRIPTION;LANGUAGE={one.language}:{_escaped(one.text)}",
            f"LOCATION:{_escaped(where)}",
            f"URL:{base}/{language}/news/{one.uid}",
            f"STATUS:{'CANCELLED' if one.stage == 'cancelled' else 'CONFIRMED'}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _compact(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _escaped(text: str) -> str:
    """A text as a value: RFC 5545, 3.3.11. It has no controls but line ends and tabs."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> str:
    """A line in parts of at most `LINE` bytes, none of which cuts a character: RFC 5545, 3.1."""
    parts, size = [""], 0
    for character in line:
        width = len(character.encode())
        if size + width > LINE:
            parts.append(" ")
            size = 1
        parts[-1] += character
        size += width
    return "\r\n".join(parts)


def document(found: Sequence[Told]) -> list[dict[str, Any]]:
    """Bulletins as JSON: texts as they were written, in markdown, and as HTML."""
    return [
        {
            "id": urn(one.uid),
            "kind": one.kind,
            "class": one.grade,
            "stage": one.stage or None,
            "starts": _moment(one.starts),
            "ends": one.ends and _moment(one.ends),
            "sites": list(one.sites),
            "language": one.language,
            "title": one.title,
            "text": one.text,
            "html": str(markdown.html(one.text)),
            "published": one.published and _moment(one.published),
            "changed": _moment(one.changed),
            "updates": [_step(step) for step in one.steps],
        }
        for one in found
    ]


def _step(step: Step) -> dict[str, Any]:
    return {
        "time": _moment(step.time),
        "stage": step.stage or None,
        "language": step.language,
        "text": step.text,
        "html": str(markdown.html(step.text)),
    }
