"""Numbers in figures: which are one number, and how they are read."""

import re
from dataclasses import dataclass
from functools import cache

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, table

# ruff: noqa: RUF001 - the signs of other languages are what this file is about

_SPACES = " \u00a0\u202f\u2009"
UNSPACED = table("ja zh")
"""Languages that put no space between words."""

_MARK = re.compile("[.,]")
_APART = re.compile(f"['’{_SPACES}]")
_RUN = re.compile(r"[0-9]+")
_ORDINAL_STOP = re.compile(r"\. [a-zà-žа-я]")
_NOUN = re.compile(r"[ \u00a0]?([^\W\d_]+)")


@dataclass(frozen=True)
class Number:
    """A number as it was written, in ASCII digits."""

    whole: str
    decimals: str = ""

    @property
    def value(self) -> float:
        """What it amounts to, as exact as a float."""
        return float(f"{self.whole}.{self.decimals or 0}")


@cache
def figures(vocabulary: Vocabulary) -> str:
    """The pattern of a number with its thousands and decimals; every repetition bounded, so that no text takes long."""
    spaces = _SPACES if vocabulary.spaced_groups or vocabulary.decimal_mark == "," else _SPACES[1:]
    return (
        r"(?<![0-9])(?<![0-9][.,])"
        rf"(?:[0-9]{{1,3}}(?:[{spaces}][0-9]{{3}}){{1,4}}(?:[.,][0-9]{{1,9}})?|[0-9]{{1,18}}(?:[.,'’][0-9]{{1,18}}){{0,6}})"
        r"(?![0-9])"
    )


def parse(text: str, vocabulary: Vocabulary) -> Number | None:
    """Read what `figures` found; None where it is no number ("1.2.3", "007", or longer than anybody counts)."""
    text = _APART.sub("", text)
    marks = _MARK.findall(text)
    last = marks[-1] if marks else ""
    whole, decimals = text, ""
    if len(set(marks)) == 2:
        if marks.count(last) > 1:
            return None
        whole, decimals = text.rsplit(last, 1)
    elif len(marks) == 1:
        before, after = text.split(last)
        grouped = last != vocabulary.decimal_mark and len(after) == 3 and len(before) <= 3 and before[0] != "0"
        if not grouped:
            whole, decimals = before, after
    groups = _MARK.split(whole)
    if len(groups) > 1 and (len(groups[0]) > 3 or any(len(group) != 3 for group in groups[1:])):
        return None
    whole = "".join(groups)
    if len(whole) > numerals.MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        return None
    return Number(whole, decimals)


def say(number: Number, vocabulary: Vocabulary, noun: str = "") -> str:
    """The words of a number before ``noun``, which may decide its gender."""
    language, whole = vocabulary.language, int(number.whole)
    if not number.decimals:
        return numerals.cardinal(whole, language, vocabulary.gender(whole, noun))
    if vocabulary.decimals is not None:
        return vocabulary.decimals(whole, number.decimals)
    decimals = number.decimals
    if vocabulary.single_decimals or len(decimals) > 3:
        read = numerals.digits(decimals, language)
    else:
        rest = decimals.lstrip("0")
        zeros = numerals.digits(decimals[: len(decimals) - len(rest)], language)
        read = " ".join(part for part in (zeros, numerals.cardinal(int(rest), language) if rest else "") if part)
    if language in UNSPACED:
        return f"{numerals.cardinal(whole, language)}{vocabulary.point}{read.replace(' ', '')}"
    return f"{numerals.cardinal(whole, language)} {vocabulary.point} {read}"


def say_year(whole: int, vocabulary: Vocabulary) -> str:
    """A number that is, or may be, a year."""
    return vocabulary.year(whole) if vocabulary.year else numerals.cardinal(whole, vocabulary.language)


def say_digits(text: str, vocabulary: Vocabulary) -> str:
    """Each digit of a text on its own, the groups they stand in set apart by commas."""
    return ", ".join(numerals.digits(run, vocabulary.language) for run in _RUN.findall(text))


@cache
def _all_figures(vocabulary: Vocabulary) -> re.Pattern[str]:
    return re.compile(rf"(?P<minus>(?<![\w)\]%.])[-−–](?=[0-9]))?(?P<number>{figures(vocabulary)})|(?P<run>[0-9]+)")


def say_numbers(text: str, vocabulary: Vocabulary) -> str:
    """Every number that is still in figures, as words; what no number can be is read in its parts."""

    def spoken(match: re.Match[str]) -> str:
        start, end = match.span()
        written = match["number"] or match["run"]
        if vocabulary.ordinal is None and _ORDINAL_STOP.match(text, end):
            return match[0]  # "3. května": an ordinal, which the engine knows how to say
        if vocabulary.language == "zh" and len(written) == 4 and text[end : end + 1] == "年":
            return "".join(numerals.cardinal(int(digit), "zh") for digit in written)
        words = _words(written, _noun_after(text, end), vocabulary)
        if match["minus"]:
            words = f"{vocabulary.minus} {words}"
        if vocabulary.language in UNSPACED:
            return words
        before, after = text[max(start - 1, 0) : start], text[end : end + 1]
        return (" " if before.isalpha() else "") + words + (" " if after.isalpha() else "")

    return _all_figures(vocabulary).sub(spoken, text)


def _noun_after(text: str, end: int) -> str:
    noun = _NOUN.match(text, end, end + 30)
    return noun[1] if noun else ""


def _words(written: str, noun: str, vocabulary: Vocabulary) -> str:
    language = vocabulary.language
    number = parse(written, vocabulary)
    if number is not None:
        if vocabulary.year and not number.decimals and len(written) == 4:
            return say_year(int(number.whole), vocabulary)
        return say(number, vocabulary, noun)
    if written.isdecimal():
        return numerals.digits(written, language)
    if written.count(".") >= 2 and "," not in written:  # a version, an address in a network
        return f" {vocabulary.point} ".join(_plain(part, language) for part in written.split("."))
    return _RUN.sub(lambda run: _plain(run[0], language), written)


def _plain(digits: str, language: str) -> str:
    if len(digits) > numerals.MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return numerals.digits(digits, language)
    return numerals.cardinal(int(digits), language)
