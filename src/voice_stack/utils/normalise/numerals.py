"""Whole numbers as words, by the rules of CLDR (the package unicode-rbnf)."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

MAX_DIGITS = 15
"""Longer numbers are read digit by digit, as people do with them."""


@cache
def _rules(language: str) -> "RbnfEngine | None":
    from unicode_rbnf import RbnfEngine

    if language not in RbnfEngine.get_supported_languages():
        return None
    return RbnfEngine.for_language(language)


@lru_cache(maxsize=8192)
def spell(number: int, language: str, *rules: str) -> str | None:
    """A number by the first of CLDR's ``rules`` ("cardinal-feminine", "ordinal") that there is; None: there is none."""
    engine = _rules(language)
    if engine is None or number >= 10**MAX_DIGITS:
        return None
    for rule in rules:
        if f"spellout-{rule}" in engine.rulesets:
            try:
                words = engine.format_number(number, ruleset_names=[f"spellout-{rule}"]).text
            except (ValueError, ArithmeticError, LookupError):
                continue
            return " ".join(words.split())
    return None


def cardinal(number: int, language: str, gender: str = "") -> str:
    """How many, as in "twenty-one"; digits where the language is unknown or the number too long."""
    rules = [f"cardinal-{gender}"] if gender else []
    rules += ["cardinal", "cardinal-sinokorean", "numbering", "cardinal-masculine"]
    return spell(number, language, *rules) or str(number)


def ordinal(number: int, language: str, form: str = "") -> str:
    """Which one, as in "twenty-first"; ``form`` as in CLDR ("feminine", "n"). The cardinal where there is none."""
    rules = [f"ordinal-{form}"] if form else []
    rules += ["ordinal", "ordinal-masculine"]
    return spell(number, language, *rules) or cardinal(number, language)


def year(number: int, language: str) -> str:
    """A year as it is said in English, German or Dutch: "nineteen eighty-four"."""
    return spell(number, language, "numbering-year") or cardinal(number, language)


def digits(text: str, language: str) -> str:
    """Each digit on its own: "zero zero seven"."""
    return " ".join(cardinal(int(digit), language) for digit in text)
