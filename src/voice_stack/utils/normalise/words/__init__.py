"""The vocabularies, one language a file."""

import importlib
from functools import cache

from voice_stack.utils.normalise.vocabulary import Vocabulary
from voice_stack.utils.normalise.words.others import OTHERS

FULL = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru")
"""Languages with words for amounts, dates, times and abbreviations of their own."""


@cache
def vocabulary(language: str) -> Vocabulary | None:
    """The words of a language (ISO 639-1, or a tag as in ``en-US``); None: not known here."""
    code = language.lower().replace("_", "-").partition("-")[0]
    if code not in FULL:
        return OTHERS.get(code)
    found = importlib.import_module(f"voice_stack.utils.normalise.words.{code}").VOCABULARY
    assert isinstance(found, Vocabulary)  # noqa: S101 - tells the type checker
    return found
