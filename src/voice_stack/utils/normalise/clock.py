"""Dates and times of the day."""

# ruff: noqa: RUF001 - the signs and letters of many languages

import re
from functools import cache

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.numbers import say_year
from voice_stack.utils.normalise.vocabulary import Vocabulary


@cache
def _months(vocabulary: Vocabulary) -> dict[str, int]:
    from babel.dates import get_month_names

    names = {name.lower(): number for number, name in get_month_names("wide", locale=vocabulary.language).items()}
    return {**dict(vocabulary.months), **names}


@cache
def _month_name(number: int, vocabulary: Vocabulary) -> str:
    from babel.dates import get_month_names

    return str(get_month_names("wide", locale=vocabulary.language)[number])


@cache
def _patterns(vocabulary: Vocabulary) -> list[re.Pattern[str]]:
    names = "|".join(sorted(map(re.escape, _months(vocabulary)), key=len, reverse=True))
    before = r"(?:(?P<before>\b[^\W\d_]{2,5}) )?"
    year = r"(?P<year>[12][0-9]{3})(?![0-9])"
    written = [
        r"(?<![0-9.,/-])(?P<year>[12][0-9]{3})(?P<sep>[-/.])(?P<month>[01]?[0-9])(?P=sep)(?P<day>[0-3]?[0-9])(?![0-9.-]*[0-9])",
        (
            rf"{before}(?<![0-9.,/-])(?P<first>[0-3]?[0-9])(?P<sep>[-/.])(?P<second>[0-3]?[0-9])(?P=sep)"
            r"(?P<year>[12][0-9]{3}|[0-9]{2})(?![0-9]|[.,-][0-9])"
        ),
    ]
    if vocabulary.month_first:
        written += [
            rf"\b(?P<name>{names})\b\.? (?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?(?![\w:/]|[.,%][0-9])(?:,? {year})?",
            (
                rf"(?P<the>\bthe )?(?<![\w.,/$€£-])(?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?(?P<of> of)? (?P<name>{names})\b"
                rf"(?:\.(?= [0-9]))?(?:,? {year})?"
            ),
        ]
    else:
        de = "(?: de)?" if " de " in vocabulary.date else ""
        written.append(
            rf"{before}(?<![\w.,/$€£-])(?P<day>[0-3]?[0-9])(?:\.|er|º|°)?(?P<de>{de}) (?P<name>{names})\b"
            rf"(?:\.(?= [0-9]))?(?:{de} {year}(?P<suffix> (?:roku|года|г\.|r\.)(?!\w))?)?"
        )
    return [re.compile(pattern, re.IGNORECASE) for pattern in written]


def say_dates(text: str, vocabulary: Vocabulary) -> str:
    """Every date that has at least a day and a month, as words; a month and a year on their own are plain words."""
    if vocabulary.day is None:
        return text

    def spoken(match: re.Match[str]) -> str:
        found = match.groupdict()
        name = found.get("name")
        before = found.get("before") or ""
        day, month = _day_and_month(found, vocabulary)
        if not 1 <= day <= 31 or not 1 <= month <= 12:
            return match[0]
        spoken_month = name if name and name.lower() not in vocabulary.months else _month_name(month, vocabulary)
        # "The fifth of May" keeps its order, "5 May" has that of the language.
        the, day_first = found.get("the") or "", found.get("the") or found.get("of")
        order = "{day} of {month}, {year}" if day_first else vocabulary.date
        words = the + _date(day, spoken_month, found.get("year"), before, order, vocabulary)
        return f"{before} {words}" if before else words

    for pattern in _patterns(vocabulary):
        text = pattern.sub(spoken, text)
    return text


def _day_and_month(found: "dict[str, str | None]", vocabulary: Vocabulary) -> tuple[int, int]:
    name = found.get("name")
    if name:
        return int(found["day"] or 0), _months(vocabulary)[name.lower()]
    if found.get("month"):
        return int(found["day"] or 0), int(found["month"] or 0)
    first, second = int(found["first"] or 0), int(found["second"] or 0)
    if (vocabulary.month_first and found["sep"] != ".") and first <= 12:
        return second, first
    return first, second


def _date(day: int, month: str, year: str | None, before: str, order: str, vocabulary: Vocabulary) -> str:
    assert vocabulary.day is not None  # noqa: S101 - say_dates sees to it
    spoken_day = vocabulary.day(day, before)
    if year is None:
        return order.partition("{year}")[0].removesuffix(" de ").rstrip(", ").format(day=spoken_day, month=month)
    number = int(year)
    if len(year) == 2:
        number += 2000 if number < 70 else 1900
    spoken_year = vocabulary.long_year(number) if vocabulary.long_year else say_year(number, vocabulary)
    return order.format(day=spoken_day, month=month, year=spoken_year)


_HALVES = re.compile(
    r"(?<![0-9.,:])(?P<hours>1[0-2]|0?[1-9])(?:[:.](?P<minutes>[0-5][0-9]))?[ \u00a0]?"
    r"(?P<half>[aApP])(?:\.[mM]\.|[mM](?!\w))"
)
_LONGEST_PREPOSITION = 8
_CLOSERS = "\"')]}”’» "


@cache
def _times(vocabulary: Vocabulary) -> re.Pattern[str]:
    hours, minutes = (
        r"(?<![0-9.,:])(?P<hours>[01]?[0-9]|2[0-4])",
        r"(?P<minutes>[0-5][0-9])(?::(?P<seconds>[0-5][0-9]))?",
    )
    suffix = rf"[ \u00a0]?(?:{vocabulary.time_suffixes})(?!\w)"
    if not vocabulary.time_suffixes:
        return re.compile(rf"{hours}:{minutes}(?![0-9:])")
    mark = "[:hH]" if "h" in vocabulary.time_suffixes else ":"
    return re.compile(rf"{hours}(?:{mark}|\.(?=[0-9]{{2}}{suffix})){minutes}(?![0-9:])(?:{suffix})?")


def _word_before(match: re.Match[str]) -> str:
    words = match.string[max(match.start() - _LONGEST_PREPOSITION, 0) : match.start()].split()
    return words[-1] if words else ""


def say_times(text: str, vocabulary: Vocabulary) -> str:
    """Every time of the day, as words."""
    if vocabulary.time is None:
        return text
    time = vocabulary.time

    def spoken(match: re.Match[str]) -> str:
        hours, minutes = int(match["hours"]), int(match["minutes"])
        if match["seconds"]:
            numbers = (hours, minutes, int(match["seconds"]))
            return " ".join(numerals.cardinal(number, vocabulary.language) for number in numbers)
        return time(hours, minutes, _word_before(match))

    def half(match: re.Match[str]) -> str:
        hours, minutes = int(match["hours"]), int(match["minutes"] or 0)
        words = time(hours, minutes, "") if minutes else numerals.cardinal(hours, vocabulary.language)
        ends = match[0].endswith(".") and not text[match.end() : match.end() + 9].strip(_CLOSERS)
        return f"{words} {match['half'].upper()}M{'.' if ends else ''}"

    if vocabulary.language == "en":
        text = _HALVES.sub(half, text)
    return _times(vocabulary).sub(spoken, text)
