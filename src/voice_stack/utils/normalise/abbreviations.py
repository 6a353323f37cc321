"""Abbreviations, Roman numerals, and words in capitals."""

# ruff: noqa: RUF001 - the signs and letters of many languages

import re
from functools import cache

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, table

_CLOSERS = " \t\n\"')]}”’»"
_NAME_BEFORE = re.compile(r"\w ([^\W\d_]\w*) $")
_NAME_AFTER = re.compile(r" [\"'“«]?[^\W\d_]")


@cache
def _abbreviations(vocabulary: Vocabulary) -> "re.Pattern[str] | None":
    if not vocabulary.abbreviations:
        return None
    words = "|".join(sorted(map(re.escape, vocabulary.abbreviations), key=len, reverse=True))
    numbered = "|".join(sorted(map(re.escape, vocabulary.before_number), key=len, reverse=True))
    return re.compile(rf"(?<![\w.@/])(?:(?P<number>{numbered})(?=[ \u00a0]?[0-9])|(?P<word>{words})(?![\w@]))")


def say_abbreviations(text: str, vocabulary: Vocabulary) -> str:
    """Abbreviations as the words they stand for. The stop of the last one is still the end of the sentence."""
    pattern = _abbreviations(vocabulary)
    if pattern is None:
        return text
    end = len(text.rstrip(_CLOSERS))

    def spoken(match: re.Match[str]) -> str:
        if match["number"]:
            words = vocabulary.before_number[match["number"]]
            return words if text[match.end() : match.end() + 1].isspace() else f"{words} "
        if match.end() >= end and match["word"] in vocabulary.only_inside:
            return match[0]
        words = vocabulary.abbreviations[match["word"]]
        first, bar, second = words.partition("|")
        if bar:
            words = first if _before_a_name(text, match.start(), match.end()) else second
        elif match.start() == 0 or text[max(match.start() - 2, 0) : match.start()] in {"! ", "? "}:
            words = words[0].upper() + words[1:]
        return f"{words}." if match.end() >= end and match[0].endswith(".") else words

    return pattern.sub(spoken, text)


def _before_a_name(text: str, start: int, end: int) -> bool:
    after = _NAME_AFTER.match(text, end)
    if after is None or not after[0][-1].isupper():
        return False
    before = _NAME_BEFORE.search(text, max(start - 40, 0), start)
    return before is None or not before[1][0].isupper() or before[1].endswith(".")


_ROMAN = re.compile(
    r"(?<![\w.])(?P<word>[^\W\d_]{3,20}) (?P<roman>(?=[IVX])X{0,3}(?:IX|IV|V?I{0,3}))(?P<end>\.?)(?![\w'’-])"
)
_ROMAN_ONE = {"I": 1, "V": 5, "X": 10}
_MONARCHS = table(
    "Louis Luigi Ludwig Ludovico Luis Luís Lodewijk Ludwik Henry Henri Heinrich Enrique Henrique "
    "Enrico Hendrik Henryk Charles Karl Carlos Carlo Karel Karol Elizabeth Elisabeth Élisabeth Isabel "
    "Isabella Elisabetta Elżbieta George Georg Jorge Giorgio William Guillaume Wilhelm Guillermo "
    "Guglielmo Willem Edward Eduard Édouard Eduardo James Jacques Jakob Richard Ricardo Riccardo "
    "Philip Philippe Philipp Felipe Filipe Filippo Filip Friedrich Frederick Federico Frédéric Peter "
    "Pierre Pedro Pietro Piotr Paul Pablo Paolo Paulo Paweł John Jean Johannes Juan João Giovanni Jan "
    "Benedict Benedikt Benoît Benedicto Bento Benedetto Francis Franz Franciscus Pius Pie Pío Pio Leo "
    "Leone León Napoleon Napoléon Napoleón Napoleone Napoleão Nicholas Nicolas Nikolaus Nicolás "
    "Nicola Catherine Katharina Catalina Caterina Catarina Alexander Alexandre Alejandro Alessandro "
    "Alfonso Afonso Otto August Augustus Ferdinand Fernando Margaret Margrethe Harald Haakon Gustav "
    "Vittorio Umberto Maria Людовик Николай Пётр Петр Александр Екатерина Иоанн Павел Карл Генрих "
    "Елизавета Филипп Вильгельм Фридрих"
)


def _value(roman: str) -> int:
    numbers = [_ROMAN_ONE[letter] for letter in roman]
    return sum(-one if one < after else one for one, after in zip(numbers, [*numbers[1:], 0], strict=True))


def say_romans(text: str, vocabulary: Vocabulary) -> str:
    """Roman numerals where they can be nothing else: after "Chapter" and its like, and after the names of monarchs."""

    end = len(text.rstrip(_CLOSERS))

    def spoken(match: re.Match[str]) -> str:
        word, roman = match["word"], match["roman"]
        number = _value(roman)
        last = match["end"] if match.end() >= end or vocabulary.language != "de" else ""
        if word in vocabulary.roman:
            return f"{word} {numerals.cardinal(number, vocabulary.language)}{match['end']}"
        if word in _MONARCHS and vocabulary.reign and (roman != "I" or vocabulary.language != "en"):
            return f"{word} {vocabulary.reign(number)}{last}"
        return match[0]

    return _ROMAN.sub(spoken, text)


_CAPITALS = re.compile(r"(?<![\w.&@/-])[^\W\d_]{2,}(?:['’][^\W\d_]+)?(?![\w&@/])")
_VOWEL = re.compile("[AEIOUYÄÖÜÁÉÍÓÚÀÈÌÒÙÂÊÎÔÛÃÕĄĘАЕЁИОУЫЭЮЯ]")
_SHORTEST_SHOUT = 4
_LONGEST_ACRONYM = 4
_OPENERS = 6


def lower_shouts(text: str, vocabulary: Vocabulary) -> str:
    """Shouted words in small letters, for engines spell capitals out; what may be an acronym keeps them.

    A word is shouted that is longer than acronyms are, that stands in a run of words in capitals of which one is, or
    that is among the short ones that people stress.
    """
    words = list(_CAPITALS.finditer(text))
    shouted: set[int] = set()
    run: list[re.Match[str]] = []
    for word in [*words, None]:
        if word is not None and word[0].isupper():
            if run and text[run[-1].end() : word.start()].strip(" ,;:-—'\""):
                shouted |= _shouted(run, vocabulary)
                run = []
            run.append(word)
            continue
        shouted |= _shouted(run, vocabulary)
        run = []
    if not shouted:
        return text

    def lowered(match: re.Match[str]) -> str:
        if match.start() not in shouted:
            return match[0]
        before = text[max(match.start() - _OPENERS, 0) : match.start()].rstrip("\"'“«„([¡¿ ")
        return match[0].lower() if before and before[-1] not in ".!?" else match[0].capitalize()

    return _CAPITALS.sub(lowered, text)


def _shouted(run: "list[re.Match[str]]", vocabulary: Vocabulary) -> set[int]:
    words = [match[0] for match in run]
    long = [word for word in words if len(word) > _LONGEST_ACRONYM and word not in vocabulary.acronyms]
    together = len(words) > 1 and (long or sum(len(word) >= _SHORTEST_SHOUT for word in words) > 1 or len(words) > 2)
    return {
        match.start()
        for match in run
        if match[0] not in vocabulary.acronyms
        and _VOWEL.search(match[0])
        and (len(match[0]) > _LONGEST_ACRONYM or together or match[0].lower() in vocabulary.emphasised)
    }
