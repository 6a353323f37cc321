"""Money, measures and percentages."""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache, lru_cache

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.numbers import Number, figures, parse, say
from voice_stack.utils.normalise.units import CURRENCY_CODES, CURRENCY_SIGNS, UNITS, UNITS_PER_SECOND
from voice_stack.utils.normalise.vocabulary import Vocabulary

# ruff: noqa: RUF001 - currency and unit signs of many languages

_FORMATTED = re.compile(r"[0-9٠-٩०-९](?:[0-9٠-٩०-९.,٬٫]|[\u00a0\u202f](?=[0-9]{3}))*")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)")


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_GAP = r"[ \u00a0\u202f]?"


@cache
def _money(vocabulary: Vocabulary) -> re.Pattern[str]:
    signs, codes = _any_of(CURRENCY_SIGNS), "|".join(sorted(CURRENCY_CODES))

    def amount(side: int) -> str:
        scales = _any_of(vocabulary.scales) or "(?!)"
        scale = rf"(?:{_GAP}(?P<scale{side}>{scales})(?:\.(?= ?[€$£¥₽]))?(?!\w))?"
        return rf"(?P<number{side}>{figures(vocabulary)}){scale}"

    return re.compile(
        rf"(?P<minus1>(?<![\w)])[-−])?(?:(?<![^\W\d_])(?P<sign1>{signs})|\b(?P<code1>{codes})){_GAP}{amount(1)}"
        rf"|(?P<minus2>(?<![\w)])[-−])?{amount(2)}{_GAP}(?:(?P<code2>{codes})(?!\w)|(?P<sign2>{signs})(?!\w))"
    )


def say_money(text: str, vocabulary: Vocabulary) -> str:
    """Every amount of money, as words."""

    def spoken(match: re.Match[str]) -> str:
        side = "1" if match["number1"] else "2"
        number = parse(match[f"number{side}"], vocabulary)
        sign, code = match[f"sign{side}"], match[f"code{side}"]
        if number is None:
            return match[0]
        currency = code or CURRENCY_SIGNS[sign]
        if sign in {"¥", "￥"} and vocabulary.language == "zh":
            currency = "CNY"
        words = _amount(number, match[f"scale{side}"], currency, vocabulary)
        if match[f"minus{side}"]:
            words = f"{vocabulary.minus} {words}"
        return words

    return _money(vocabulary).sub(spoken, text)


@lru_cache(maxsize=4096)
def _amount(number: Number, scale: str | None, currency: str, vocabulary: Vocabulary) -> str:
    if scale:
        name = _currency_name(currency, vocabulary, Decimal(1_000_000))
        scale = vocabulary.scales[scale]
        of = vocabulary.of if scale.rstrip("s") not in {"mille", "mil", "mila"} else ""
        joined = f"d'{name}" if of == "de" and vocabulary.language == "fr" and name[0] in "aeiou" else f"{of} {name}"
        return f"{say(number, vocabulary, scale)} {scale} {joined.strip()}"
    whole, minor = int(number.whole), _minor(currency, vocabulary)
    if minor and len(number.decimals) == 2:
        part = int(number.decimals)
        if not part:
            return _counted(Number(number.whole), _currency_name(currency, vocabulary, Decimal(whole)), vocabulary)
        named = vocabulary.minor_named or not whole
        noun = _form(minor, Decimal(part), vocabulary)
        smaller = (
            _counted(Number(str(part)), noun, vocabulary) if named else numerals.cardinal(part, vocabulary.language)
        )
        if not whole:
            return smaller
        larger = _counted(Number(number.whole), _currency_name(currency, vocabulary, Decimal(whole)), vocabulary)
        return " ".join(word for word in (larger, vocabulary.minor_joiner, smaller) if word)
    value = Decimal(f"{number.whole}.{number.decimals or 0}") if number.decimals else Decimal(whole)
    return _counted(number, _currency_name(currency, vocabulary, value), vocabulary)


def _counted(number: Number, name: str, vocabulary: Vocabulary) -> str:
    noun = name.split(maxsplit=1)[0] if name else ""
    words = say(number, vocabulary, noun)
    if vocabulary.of and not number.decimals and number.whole.endswith("000000"):
        name = f"{vocabulary.of} {name}"
    return f"{words} {name}"


def _minor(currency: str, vocabulary: Vocabulary) -> str:
    return vocabulary.currencies.get(currency, "").partition("|")[2]


def _currency_name(currency: str, vocabulary: Vocabulary, count: Decimal) -> str:
    own = vocabulary.currencies.get(currency, "").partition("|")[0]
    if own:
        return _form(own, count, vocabulary)
    from babel.numbers import get_currency_name

    return get_currency_name(currency, count, locale=vocabulary.language)


def _form(forms: str, count: Decimal, vocabulary: Vocabulary) -> str:
    words = forms.split()
    return words[{"one": 0, "few": 1}.get(_plural(count, vocabulary.language), -1)]


def _plural(count: Decimal, language: str) -> str:
    from babel import Locale

    return Locale.parse(language).plural_form(count)


_SHORTEST_SCALE = 3
"""Shorter ones are units as well: m is a million of money, and a metre of cloth."""


@cache
def _measures(vocabulary: Vocabulary) -> re.Pattern[str]:
    scales = _any_of(scale for scale in vocabulary.scales if len(scale) >= _SHORTEST_SCALE) or "(?!)"
    return re.compile(
        rf"(?P<minus>(?<![\w)])[-−–])?(?P<number>{figures(vocabulary)})(?:{_GAP}(?P<scale>{scales})(?= ))?{_GAP}"
        rf"(?P<unit>{_any_of(UNITS | UNITS_PER_SECOND)})(?![\w²³/])"
    )


def say_measures(text: str, vocabulary: Vocabulary) -> str:
    """Every measure with its unit, and every percentage, as words."""

    def spoken(match: re.Match[str]) -> str:
        number = parse(match["number"], vocabulary)
        words = _measure(number, match["scale"], match["unit"], vocabulary) if number else None
        if words is None:
            return match[0]
        return f"{vocabulary.minus} {words}" if match["minus"] else words

    return _measures(vocabulary).sub(spoken, text)


@lru_cache(maxsize=4096)
def _measure(number: Number, scale: str | None, unit: str, vocabulary: Vocabulary) -> str | None:
    from babel.units import UnknownUnitError, format_compound_unit, format_unit

    value = Decimal(f"{number.whole}.{number.decimals}") if number.decimals else Decimal(number.whole)
    if scale:
        value = Decimal(1_000_000)
    language = vocabulary.language
    if unit == "%" and "%" in vocabulary.signs:
        return vocabulary.signs["%"].format(say(number, vocabulary))
    try:
        if unit in UNITS:
            phrase: str | None = format_unit(value, UNITS[unit], "long", locale=language)
        else:
            phrase = format_compound_unit(value, UNITS_PER_SECOND[unit], denominator_unit="second", locale=language)
    except UnknownUnitError:
        return None
    if phrase is None or UNITS.get(unit, "?") in phrase:
        return None  # CLDR has no words for it
    found = _FORMATTED.search(phrase)
    if found is None:
        return phrase  # "a kilometre" in a language that has a word for one or two of them
    noun = _FIRST_WORD.match(phrase, found.end())
    if scale:
        words = f"{say(number, vocabulary, vocabulary.scales[scale])} {vocabulary.scales[scale]}"
    else:
        words = say(number, vocabulary, noun[1] if noun else "")
    return phrase[: found.start()] + words + phrase[found.end() :]
