"""What the public pages say: times, spans and states in the words of one language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from babel import dates, numbers

from dashboard import languages
from dashboard.public import reasons
from processing.store.whereabouts import Blocker, Day, Made, Pass


class Words:
    """The words of one of `languages.LANGUAGES`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._messages = languages.messages(language)

    def text(self, message: str, **values: object) -> str:
        """A message, with values in it; a number, a time or a span is written as the language does."""
        return self._messages.gettext(message) % {name: self.value(value) for name, value in values.items()}

    def plain(self, message: str) -> str:
        """A message as it stands."""
        return self._messages.gettext(message)

    def value(self, value: object) -> str:
        """A value as it stands in a sentence."""
        match value:
            case datetime():
                return self.moment(value)
            case date():
                return self.day(value)
            case timedelta():
                return self.span(value)
            case int() | float():
                return self.number(value)
            case _:
                return str(value)

    def moment(self, time: datetime) -> str:
        """A time to the minute."""
        return f"{self.day(time.date())}, {time:%H:%M} UTC"

    def day(self, day: date) -> str:
        """A day, its month by name."""
        told = dates.format_date(day, "d MMM y", locale=self.language)
        return f"1er{told[1:]}" if self.language == "fr" and day.day == 1 else told

    def span(self, span: timedelta) -> str:
        """A length of time in its largest unit or two: ``9 h``, ``1 h 20 min``, ``3 days``."""
        minutes = max(round(span.total_seconds() / 60), 0)
        if minutes >= 48 * 60:
            return dates.format_timedelta(timedelta(days=round(minutes / 1440)), "day", locale=self.language)
        hours, rest = divmod(minutes, 60)
        if hours >= 6:
            return f"{round(minutes / 60)} h"
        return f"{hours} h {rest:02d} min" if hours else f"{minutes} min"

    def number(self, number: float) -> str:
        """A number with the language's separators."""
        return numbers.format_decimal(number, locale=self.language)

    def reason(self, text: str, reason_class: str = "") -> str:
        """A reason of the store in words, and its own line where the words don't say all."""
        found = reasons.of(text, reason_class)
        told = self.text(found.message, number=self._figure(found.number))
        return f"{told} ({found.original})" if found.original else told

    def _figure(self, number: str) -> str:
        try:
            return self.number(float(number))
        except ValueError:
            return number

    def pass_(self, one: Pass, day: Day) -> str:
        """What became of a pass, in a sentence or two."""
        told = {"platform": one.platform, "time": one.time, "due": one.due}
        match one.state:
            case "upcoming":
                return self.text("%(platform)s will pass on %(time)s. Its image should be here by %(due)s.", **told)
            case "awaited":
                return self.text(
                    "Not published by the source yet: %(platform)s passed on %(time)s. "
                    "Its image should be here by %(due)s.",
                    **told,
                )
            case "missing":
                lost = self.text(
                    "Missing: by its orbit %(platform)s passed on %(time)s. Its image should have been here by "
                    "%(due)s, and the source has not published any.",
                    **told,
                )
                silent = day.silent_since is not None and day.silent_since < one.time
                since = self.text("Nothing of any tile has come since %(time)s.", time=day.silent_since)
                return f"{lost} {since}" if silent else lost
            case "refused":
                return self.text(
                    "Refused on its arrival: %(reason)s. A sound copy may still come.", reason=self.reason(one.reason)
                )
        return self.text("%(platform)s passed on %(time)s. Its image came on %(arrived)s.", arrived=one.arrived, **told)

    def made(self, one: Made) -> str:
        """How far a date is in a version, in a sentence or two."""
        told: dict[str, Any] = {"time": one.since, "version": one.version}
        if one.reason or one.reason_class:
            told["reason"] = self.reason(one.reason, one.reason_class)
        else:
            told["reason"] = self.text("no reason is known")
        sentence = self._sentence(one, told)
        return f"{sentence} {self.soonest(one)}".strip()

    def _sentence(self, one: Made, told: dict[str, Any]) -> str:
        if one.state == "waits" and one.blocker is not None:
            return self._waits(one.blocker)
        message = SENTENCES[one.state]
        if one.state == "retry" and one.soonest is not None:
            told["time"] = one.soonest
        if one.state == "withdrawn" and not one.reason:
            message = WITHDRAWN
        return self.text(message, **told)

    def _waits(self, blocker: Blocker) -> str:
        told = {"date": blocker.sensing.date(), "platform": blocker.platform, "state": self.state(blocker.state)}
        sentence = self.text(
            "Waits for the date before it, %(date)s of %(platform)s, which is: %(state)s. "
            "The dates of a tile are made in order of time.",
            **told,
        )
        if blocker.state != "held" or not blocker.reason:
            return sentence
        return f"{sentence} {self.text('That one is held: %(reason)s.', reason=self.reason(blocker.reason))}"

    def soonest(self, one: Made) -> str:
        """When it may be published, if anybody can tell."""
        if one.soonest is None or one.state == "retry":
            return ""
        return self.text("It may be published on %(time)s at the earliest.", time=one.soonest)

    def state(self, state: str) -> str:
        """The name of a state."""
        return self.text(NAMES[state])

    def nothing(self, day: Day) -> Iterator[str]:
        """Why no satellite passes a tile on a day, in sentences."""
        told = {"tile": day.tile, "day": day.day}
        if day.first is None:
            yield self.text("No image of %(tile)s has come yet: its orbits are not known here.", **told)
            return
        if day.day < day.first.date():
            yield self.text("The centre has %(tile)s since %(first)s only.", first=day.first.date(), **told)
        else:
            yield self.text("By the orbits no satellite passes over %(tile)s on %(day)s.", **told)
        for one in day.stopped:
            if one.time.date() < day.day:
                yield self.text(
                    "%(platform)s is not expected any more: it was last seen over %(tile)s on %(last)s.",
                    platform=one.platform,
                    last=one.time.date(),
                    **told,
                )

    def label(self, day: Day) -> str:
        """All that is said of a day, for programs that show text to people."""
        if not day.passes:
            return " ".join(self.nothing(day))
        parts = []
        for one in day.passes:
            parts.append(self.pass_(one, day))
            parts += [f"{made.version}: {self.made(made)}" for made in one.made]
        return " ".join(parts)


def _(text: str) -> str:
    """Mark a message for the catalogues."""
    return text


#: What is said of a date in a version, by its state.
SENTENCES = {
    "published": _("Published on %(time)s."),
    "withdrawn": _("Published, and withdrawn since: %(reason)s."),
    "not_valid": _("Not valid: %(reason)s. Such a date gives no product."),
    "rejected": _("Refused: %(reason)s."),
    "failed": _("Failed: %(reason)s. The operators can have it tried again."),
    "held": _("Held until the operators release it: %(reason)s."),
    "retry": _("A try failed: %(reason)s. It is tried again on %(time)s."),
    "running": _("In work since %(time)s."),
    "queued": _("Next in its tile: waits for a free place."),
    "settling": _("It has come: the other half of the pass is waited for."),
    "waits": _("Waits for a date before it."),
    "paused": _("The production of %(version)s is paused."),
}
WITHDRAWN = _("Published, and withdrawn since.")
#: The names of all states.
NAMES = {
    "published": _("published"),
    "withdrawn": _("withdrawn"),
    "not_valid": _("not valid"),
    "rejected": _("refused"),
    "refused": _("refused"),
    "failed": _("failed"),
    "held": _("held"),
    "retry": _("to be tried again"),
    "running": _("in work"),
    "ready": _("in line"),
    "queued": _("in line"),
    "settling": _("in line"),
    "waits": _("waits for the date before it"),
    "paused": _("paused"),
    "upcoming": _("to come"),
    "awaited": _("not published by the source yet"),
    "missing": _("missing at the source"),
    "arrived": _("arrived"),
    "late": _("late"),
    "on_time": _("on time"),
    "waiting": _("first dates in work"),
    "ended": _("complete, nothing more expected"),
    "none": _("nothing has come yet"),
}
