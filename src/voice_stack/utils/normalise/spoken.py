"""One sentence as it is read aloud."""

import re
import unicodedata
from functools import cache

from voice_stack.utils.normalise.abbreviations import lower_shouts, say_abbreviations, say_romans
from voice_stack.utils.normalise.addresses import say_addresses, say_phones
from voice_stack.utils.normalise.amounts import say_measures, say_money
from voice_stack.utils.normalise.clock import say_dates, say_times
from voice_stack.utils.normalise.numbers import UNSPACED, figures, parse, say_numbers, say_year
from voice_stack.utils.normalise.vocabulary import Vocabulary
from voice_stack.utils.normalise.words import vocabulary as vocabulary_of

# ruff: noqa: RUF001 - the signs are what this file is about

_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_ARABIC_MARKS = str.maketrans("٫٬٪", ".,%")
_FIGURE = re.compile("[0-9½⅓⅔¼¾⅕⅛]")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_BULLET = re.compile(r"^\s*[-*+•‣◦▪●–]\s+(?=\S)")
_SPACES = re.compile(r"[ \t\n\u00a0\u202f]+")
_BEFORE_MARK = re.compile(r" +(?=[,.](?:\s|$))")
_FRACTION = re.compile(
    r"(?<![\w/.,])(?:(?P<whole>[0-9]{1,6}) )?(?P<above>[0-9]{1,3})/(?P<below>[0-9]{1,3})(?![\w/]|[.,][0-9])"
)
_SCORE = re.compile(r"(?<=[0-9]):(?=[0-9])")
_SLASHED = re.compile(r"(?<=[0-9])/(?=[0-9])")
_VERSION = re.compile(r"(?<![\w.])[vV]\.?(?=[0-9])")
_DECADE = re.compile(r"(?<![\w.,])['’]?(?P<n>[12][0-9][0-9]0|[1-9]0)['’]?s(?!\w)")
_BY = re.compile(r"(?P<size>(?<![\w.])(?!0x)[0-9][0-9.,]{0,12}(?: ?[mck]?m| ?ft| ?in)?) ?x ?(?=[0-9])")
_COMPOUND = re.compile(r"(?<=[^\W\d_])-(?=[0-9])|(?<=[0-9])-(?=[^\W\d_])")


def normalise(text: str, language: str | None) -> str:
    """What a person would read aloud: figures, signs, addresses and abbreviations as words, no word shouted.

    ``language`` is ISO 639-1, or a tag as in ``en-US``. German, English, Spanish, French, Italian, Dutch, Polish,
    Portuguese and Russian have words for everything; in Arabic, Czech, Hindi, Hungarian, Japanese, Korean, Turkish and
    Chinese only numbers, measures and a few signs do; any other language, and None, leaves the text as it is.

    The text should be a sentence, of which `plain_text` took the markup. No letter is lost but those that only show
    how the rest is read (``https://www.``); takes linear time and raises nothing on any text.
    """
    vocabulary = vocabulary_of(language) if language else None
    if vocabulary is None:
        return text
    text = _BULLET.sub("", text)
    text = _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text).translate(_ARABIC_MARKS)
    text = say_addresses(text, vocabulary)
    text = say_abbreviations(text, vocabulary)
    text = say_romans(text, vocabulary)
    if _FIGURE.search(text):
        text = _say_figures(text, vocabulary)
    text = _say_signs(text, vocabulary)
    text = lower_shouts(text, vocabulary)
    return _BEFORE_MARK.sub("", _SPACES.sub(" ", text)).strip()


def _say_figures(text: str, vocabulary: Vocabulary) -> str:
    for sign, fraction in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(?<=[0-9]){sign}", f" {fraction}", text).replace(sign, fraction)
    if vocabulary.language == "en":
        text = _BY.sub(r"\g<size> by ", text)
    text = say_phones(text, vocabulary)
    text = say_dates(text, vocabulary)
    text = _say_ranges(text, vocabulary)
    text = say_times(text, vocabulary)
    text = say_money(text, vocabulary)
    text = say_measures(text, vocabulary)
    if vocabulary.language == "en":
        text = _VERSION.sub("version ", text)
        text = _DECADE.sub(lambda match: _decade(int(match["n"]), vocabulary), text)
    text = _say_ordinals(text, vocabulary)
    text = _say_fractions(text, vocabulary)
    text = _COMPOUND.sub(" ", text)
    return say_numbers(text, vocabulary)


def _decade(number: int, vocabulary: Vocabulary) -> str:
    words = say_year(number, vocabulary)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


@cache
def _ranges(vocabulary: Vocabulary) -> tuple[re.Pattern[str], re.Pattern[str]]:
    clock = r"(?<![0-9:.])[0-2]?[0-9]:[0-5][0-9]"
    number = figures(vocabulary)
    return (
        re.compile(rf"({clock}) ?[-–—] ?({clock})(?![0-9:])"),
        re.compile(
            rf"(?<![\w/:.-])(?P<sign>[€$£¥]?)(?P<low>{number})"
            rf"(?P<gap>[-–—]| – )(?P<again>[€$£¥]?)(?P<high>{number})(?![-–—:/][0-9])"
        ),
    )


def _say_ranges(text: str, vocabulary: Vocabulary) -> str:
    if not vocabulary.to:
        return text
    clock, number = _ranges(vocabulary)

    def spoken(match: re.Match[str]) -> str:
        low, high = parse(match["low"], vocabulary), parse(match["high"], vocabulary)
        if low is None or high is None:
            return match[0]
        sign = match["again"] or match["sign"]
        # "$10-20" is from ten to twenty dollars; "747-400" goes from nothing to nothing.
        joint = f" {vocabulary.to} " if low.value < high.value else " "
        first = match["low"] if match["sign"] and sign and joint != " " else match["sign"] + match["low"]
        return f"{first}{joint}{sign}{match['high']}"

    text = clock.sub(rf"\1 {vocabulary.to} \2", text)
    return number.sub(spoken, text)


@cache
def _ordinals(vocabulary: Vocabulary) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.,-])(?:{vocabulary.ordinals})(?!\w)")


def _say_ordinals(text: str, vocabulary: Vocabulary) -> str:
    ordinal = vocabulary.ordinal
    if ordinal is None:
        return text

    def spoken(match: re.Match[str]) -> str:
        found = match.groupdict()
        number = next(value for name, value in found.items() if name.startswith("n") and value)
        name, form = next((pair for pair in found.items() if pair[0].startswith("form") and pair[1]), ("", ""))
        words = ordinal(int(number.replace(",", "")), form)
        return f"{form} {words}" if form and match.start(name) == match.start() else words

    return _ordinals(vocabulary).sub(spoken, text)


def _say_fractions(text: str, vocabulary: Vocabulary) -> str:
    def spoken(match: re.Match[str]) -> str:
        words = vocabulary.fractions.get(f"{match['above']}/{match['below']}")
        if words is None:
            return match[0]
        whole = match["whole"]
        return f"{whole} {vocabulary.signs.get('&', '')} {words}" if whole else words

    text = _FRACTION.sub(spoken, text)
    return _SCORE.sub(f" {vocabulary.signs.get(':', '')} ", _SLASHED.sub(" ", text))


_JOINED = re.compile(r"(?<=\w)[_/|\\](?=\w)")
_SIGN = re.compile(r"[&+=×÷±≈≤≥≠§©√∞→²³№@#~<>*/°‰%−^|_`\\]+")
_UNSAID = frozenset("^|_`\\#/*<>@~%")


def _say_signs(text: str, vocabulary: Vocabulary) -> str:
    if vocabulary.signs:
        text = _JOINED.sub(" ", text)

    def spoken(match: re.Match[str]) -> str:
        sign = match[0]
        before, after = text[max(match.start() - 1, 0) : match.start()], text[match.end() : match.end() + 1]
        if len(sign) > 1:
            # A row of signs ("==>", "C++") is decoration, but for what can only be read one by one.
            return (
                " ".join(["", *(_word(one, before, after, vocabulary) for one in sign), ""]) if len(sign) == 2 else " "
            )
        return _word(sign, before, after, vocabulary)

    return _SIGN.sub(spoken, text)


def _word(sign: str, before: str, after: str, vocabulary: Vocabulary) -> str:
    between = bool(before.strip() or after.strip()) or (before == " " and after == " ")
    word = vocabulary.signs.get("-" if sign == "−" else sign, vocabulary.minus if sign == "−" else "")
    if not word or not between or (sign in _UNSAID and not _said(sign, before, after)):
        return " " if sign in _UNSAID or word else sign
    return word if vocabulary.language in UNSPACED else f" {word} "


def _said(sign: str, before: str, after: str) -> bool:
    """Whether a sign that is often mere decoration stands where it has a meaning."""
    spaced = before == " " and after == " "
    if sign in "<>*/":
        return spaced
    if sign == "@":
        return True
    return sign in "~#" and after.isalnum()
