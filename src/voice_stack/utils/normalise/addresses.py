"""Web and mail addresses, @names, #tags and telephone numbers."""

# ruff: noqa: RUF001 - the signs and letters of many languages

import re

from voice_stack.utils.normalise.numbers import say_digits
from voice_stack.utils.normalise.vocabulary import Vocabulary

_ADDRESS = re.compile(
    r"(?<![\w@.])(?:"
    r"(?:https?|ftp)://(?P<url>[^\s<>\"]+)"
    r"|(?P<mail>[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[a-zA-Z]{2,24}(?![\w@]))"
    r"|www\.(?P<www>[^\s<>\"]+)"
    r"|(?P<host>(?:[a-zA-Z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|dev|info|de|fr|es|it|pt|nl|pl|ru|uk|eu)"
    r"(?:/[^\s<>\"]*)?(?![\w.@-]*\w))"
    r")"
)
_NOT_LAST = ".,;:!?)]}'\"*_»”’"
_PART = re.compile(r"[.:/?&=#@_~%-]+")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-Z])|_")
_TAG = re.compile(r"(?<![\w/&])#([^\W\d_]\w*)")
_AT = re.compile(r"(?<![\w/&])@([^\W\d_]\w*)")
_PHONE = re.compile(
    r"(?<![\w.,+-])(?:"
    r"(?P<plus>\+|00(?=[1-9]))[1-9][0-9]{0,3}(?:[ ./-]{0,2}(?:\([0-9]{1,5}\)|[0-9]{2,12})){1,5}"
    r"|\([0-9]{2,5}\) ?[0-9]{2,8}(?:[ .-][0-9]{2,8}){0,3}"
    r"|[2-9][0-9]{2}-[0-9]{3}-[0-9]{4}|[2-9][0-9]{2}-[0-9]{4}"
    r"|0[0-9](?:[ .][0-9]{2}){4}"
    r"|0[0-9]{2,5}[ /-][0-9]{3,9}(?:[ -][0-9]{1,5})?"
    r")(?![\w-]|[.,][0-9])"
)


def say_addresses(text: str, vocabulary: Vocabulary) -> str:
    """Addresses as they are dictated ("example dot com slash docs", without ``https`` and ``www``), tags as words."""

    def spoken(match: re.Match[str]) -> str:
        written = match["url"] or match["mail"] or match["www"] or match["host"]
        address = written.rstrip(_NOT_LAST)
        rest = written[len(address) :]
        address = address.removeprefix("www.").rstrip("/")
        return " ".join(_PART.sub(lambda marks: _marks(marks[0], vocabulary), address).split()) + rest.lstrip("*_")

    if "@" in text or "." in text or "://" in text:
        text = _ADDRESS.sub(spoken, text)
    if "#" in text or "@" in text:
        tag, at = vocabulary.signs.get("hashtag", ""), vocabulary.signs.get("@", "")
        text = _TAG.sub(lambda match: f"{tag} {_CAMEL.sub(' ', match[1])}".lstrip(), text)
        text = _AT.sub(lambda match: f"{at} {_CAMEL.sub(' ', match[1])}".lstrip(), text)
    return text


def _marks(marks: str, vocabulary: Vocabulary) -> str:
    return f" {' '.join(vocabulary.address.get(mark, '') for mark in marks)} "


def say_phones(text: str, vocabulary: Vocabulary) -> str:
    """Telephone numbers digit by digit, with a short rest between their groups."""

    def spoken(match: re.Match[str]) -> str:
        plus = vocabulary.signs.get("+", "") if match["plus"] == "+" else ""
        return f"{plus} {say_digits(match[0], vocabulary)}".lstrip()

    return _PHONE.sub(spoken, text)
