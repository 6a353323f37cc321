"""What a language says for what is written in figures and signs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _no_gender(number: int, noun: str) -> str:  # noqa: ARG001
    return ""


def table(words: str) -> frozenset[str]:
    """Words set apart by spaces."""
    return frozenset(words.split())


def pairs(text: str) -> dict[str, str]:
    """``key=value`` pairs, set apart by semicolons."""
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in text.split(";")) if value}


def numbered(text: str) -> dict[str, int]:
    """``name=number`` pairs, set apart by semicolons."""
    return {name: int(number) for name, number in pairs(text).items()}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of a language, and how it puts figures together."""

    language: str
    point: str
    """The decimal mark."""
    minus: str
    decimal_mark: str = ","
    spaced_groups: bool = False
    """A space may stand between the thousands."""
    single_decimals: bool = False
    """Decimals are read one by one: "three point one four"."""
    signs: Mapping[str, str] = field(default_factory=dict)
    """Words for & + = @ # % and the like, by the sign."""
    address: Mapping[str, str] = field(default_factory=dict)
    """Words for the punctuation of URLs and e-mail addresses, by the sign."""
    to: str = ""
    """Between the ends of a range."""
    abbreviations: Mapping[str, str] = field(default_factory=dict)
    """As written, to words; "Saint|Street" is the first before a name and the second after one."""
    only_inside: frozenset[str] = frozenset()
    """Abbreviations that may be words or names at the end of a sentence, where the stop proves nothing: "the Sun." """
    before_number: Mapping[str, str] = field(default_factory=dict)
    """Abbreviations that are such only before a number: "No." """
    currencies: Mapping[str, str] = field(default_factory=dict)
    """ISO 4217 code to "dollar dollars|cent cents": singular and plural (and between them the Slavic few)."""
    minor_joiner: str = ""
    """Between the two parts of an amount: "five dollars and ten cents"."""
    minor_named: bool = True
    scales: Mapping[str, str] = field(default_factory=dict)
    """What may follow an amount, to its word: million, bn."""
    of: str = ""
    """Between a scale and its currency: "deux millions d'euros"."""
    months: Mapping[str, int] = field(default_factory=dict)
    """Short names of months, without their stops, beside the full ones that CLDR has."""
    month_first: bool = False
    """5/3/2024 is the third of May."""
    date: str = "{day} {month} {year}"
    day: Callable[[int, str], str] | None = None
    """The day of a date; the second argument is the word before it."""
    year: Callable[[int], str] | None = None
    """A year, where it is not read as any other number."""
    long_year: Callable[[int], str] | None = None
    """The year of a date, where it differs from ``year``."""
    time: Callable[[int, int, str], str] | None = None
    """Hours and minutes of the clock; the third argument is the word before them."""
    time_suffixes: str = ""
    """Pattern of what may follow a time and is said by ``time`` already: "Uhr"."""
    ordinals: str = ""
    """Pattern of an ordinal in figures, its number in the group ``n``, what shows its form in ``form``."""
    ordinal: Callable[[int, str], str] | None = None
    """An ordinal; the second argument is the group ``form``."""
    fractions: Mapping[str, str] = field(default_factory=dict)
    """ "1/2" to "one half"."""
    gender: Callable[[int, str], str] = _no_gender
    """CLDR's gender of a number before a noun, as far as the noun's ending shows it; empty: unknown."""
    decimals: Callable[[int, str], str] | None = None
    """A number with decimals (its whole part, its decimals), where it is not just read with ``point``."""
    roman: Mapping[str, str] = field(default_factory=dict)
    """Words before a Roman numeral ("Chapter") to how it is read: "cardinal", or CLDR's form of the ordinal."""
    reign: Callable[[int], str] | None = None
    """The number of a king or a pope, written in Roman numerals."""
    acronyms: frozenset[str] = frozenset()
    """Long words in capitals that are not shouted."""
    emphasised: frozenset[str] = frozenset()
    """Short words, in small letters, that are no acronyms in capitals: "NO", "RED"."""
