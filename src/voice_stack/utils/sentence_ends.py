"""Where a sentence or a clause ends: punctuation of many scripts, and the abbreviations that only look like an end.

No language is given: texts mix them, and the tables of the languages hardly clash.
"""

# ruff: noqa: RUF001 - the punctuation of other scripts is what this file is about

import enum
import re
import unicodedata

from voice_stack.utils.speakable import has_speech


class Boundary(enum.IntEnum):
    """What ends a chunk, from the lightest to the heaviest: the heavier, the longer the pause after it."""

    WORD = 1
    """A cut forced between words (or, in scripts without spaces, between characters)."""
    CLAUSE = 2
    SENTENCE = 3
    PARAGRAPH = 4


TIGHT = 0
"""A space where a cut would part what belongs together ("Dr. Smith", "50 %"): used only where nothing else is left."""

OPENERS = "([{“„‘‚«‹「『【《〈（［｛¿¡"
CLOSERS = ")]}\"'”’“‘»«›‹」』】》〉）］｝"
STRONG_ENDS = "!?。！？｡؟।॥‼⁇⁈⁉‽։።។။\u037e"
ENDS = STRONG_ENDS + ".…．"
CLAUSE_ENDS = ",;:—–、，；：､،؛፣၊\u0387"
DASHES = "-–—―"

UNSPACED = (  # inside of a character class: Thai, Lao, Myanmar, Khmer, kana, Han
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""The scripts that put no space between words."""

_WIDE_ENDS = "。！？｡។။"
_WIDE_CLAUSE_ENDS = "、，；：､၊"


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


# A title is one only with a capital: "hon." ends a Swedish sentence, "Hon." does not end an English one.
_TITLES = _table(
    "Adm Avv Brig Capt Cdr Cmdr Col Cpl Dhr Dipl Dott Dr Dra Drs Fr Frl Ft Gen Gov Hon Hr Ing Lt Maj Messrs "
    "Mevr Mgr Mlle Mme Mr Mrs Ms Msgr Prof Pvt Rep Rev Sen Sgt Sig Sra Srta Supt Проф Акад Им Ул"
)
_NEVER_LAST = _table(
    "approx bijv bspw bzgl bzw ca cf d.h dr e.g esp evtl ggf i.d.r i.e incl inkl insb m.a.w mr mrs np "
    "o.g p.e p.ej p.ex prof resp s.o s.u sog t.ex t.o.m u.a u.u v.a vgl viz vs z.b z.t zzgl "
    "напр т.е т.к им ул см"
)
_MAY_BE_LAST = _table(
    "al assn ave blvd bros co corp dept ecc enz etc fri inc itd itp jr ltd mon ph.d rd str thu thur thurs tj tue tues "
    "usf usw wed др пр руб"
)
# "St. Petersburg", but "on Main St. The shop".
_NAME_OR_LAST = _table("Mt Sr St Sta Ste")
_BEFORE_A_NUMBER = _table(
    "abs apr art aug bd cap cf ch chap dec feb fig figs fol jan jul jun kap mar n nos no nov nr núm nº num oct "
    "okt op pág pag pp pt rn sec sect sep sept tel tom vol гл рис стр тел"
)
_AFTER_AN_ORDINAL = _table(
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember Jänner Feber "
    "Jahrhundert Jahrhunderts Weltkrieg Weltkriegs Klasse Liga Platz Quartal Stock Auflage Kapitel Etage"
)
# Words that seldom are names: after an abbreviation, one of these with a capital begins a new sentence.
_STARTERS = _table(
    "A An And As At But For From He Her His How However I If In It Its My No Not On Our She So Some That The Their "
    "Then There These They This Those To Was We What When Where Which Who Why Yes You Your "
    "Aber Als Am Da Danach Dann Das Dem Den Der Die Diese Dieser Dieses Doch Du Ein Eine Er Es Ich Ihr Im Ist Mit "
    "Nach Sie Und Wann Warum Was Wenn Wer Wie Wir Wo Ce Ces Cette Dans Elle Elles Et Il Ils Je La Le Les Mais "
    "Nous On Puis Un Une Vous Al Como Cuando El Ella Ellos En Entonces Es Esta Este Esto Los Las Nosotros Pero Por "
    "Que Se Si Sin Su Una Y Yo Ma Noi Non Poi Questo Questa Gli Lo Mas Não Nós O Os Uma De Een Het Hij Maar Toen "
    "Wij Zij Ze В И На Но Он Она Они Оно Это Мы Я Вы Потом Затем Как Когда Если А"
)

_LETTER = r"[^\W\d_]"
_DOTTED = re.compile(rf"(?:{_LETTER}{{1,2}}\.)+{_LETTER}{{1,2}}")
_WORD_CHAR = re.compile(r"[^\W_]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
# A straight quote, or one that opens in some language, may begin the next sentence.
_STAYS = re.compile("[" + re.escape(ENDS + ",;:)]}”’»›」』】》〉）］｝") + "]+[\"']*")
_MARKS = re.compile("[" + re.escape(ENDS + CLAUSE_ENDS) + "][" + re.escape(ENDS + CLAUSE_ENDS + CLOSERS) + "]*")
_MAY_HAVE_INNER_ENDS = re.compile("[" + UNSPACED + re.escape(_WIDE_ENDS + _WIDE_CLAUSE_ENDS) + "]")


def stays_with_previous(word: str) -> bool:
    """Whether a word is only closing punctuation, as in the French "Bonjour !" and "« Assez. » Puis"."""
    return _STAYS.fullmatch(word) is not None


def inner_ends(word: str) -> list[tuple[int, Boundary]]:
    """The ends inside of one word, in scripts without spaces ("你好。再见。"): (index after the end, its kind)."""
    if word.isascii() or not _MAY_HAVE_INNER_ENDS.search(word):
        return []
    found = []
    for match in _MARKS.finditer(word):
        end = match.end()
        if end < len(word):
            kind = _inner_end(match.group(), word[max(match.start() - 1, 0) : match.start()], word[end])
            if kind is not None:
                found.append((end, kind))
    return found


def _inner_end(marks: str, before: str, after: str) -> Boundary | None:
    between_unspaced = _UNSPACED.match(before) and (_UNSPACED.match(after) or after in OPENERS)
    if any(mark in marks for mark in _WIDE_ENDS) or (between_unspaced and any(mark in marks for mark in ENDS)):
        # 「行け」と言った: what goes on in hiragana right after the quote is still the same sentence.
        quoted = marks[-1] in CLOSERS and "\u3040" <= after <= "\u309f"
        return Boundary.CLAUSE if quoted else Boundary.SENTENCE
    in_number = before.isdigit() and after.isdigit()
    if between_unspaced or (marks[0] in _WIDE_CLAUSE_ENDS and not in_number):
        return Boundary.CLAUSE
    return None


def break_after(word: str, *, before: str, after: str, line_end: bool, first: bool) -> int:
    """The kind of break between a word and the next: `TIGHT` or a `Boundary` up to `Boundary.SENTENCE`.

    ``before`` and ``after`` are the neighbours, ``first`` tells that the word begins its sentence, ``line_end``
    that the next word is on another line. Closing punctuation set apart by a space must have been added to the word.
    """
    if stays_with_previous(after):
        return TIGHT
    core = word.rstrip(CLOSERS)
    stem = core.rstrip(ENDS)
    marks = core[len(stem) :]
    if not marks:
        return _break_inside_sentence(word, core, after)
    if after in DASHES:
        return Boundary.CLAUSE
    goes_on = _begins_lower(after)
    if any(mark in STRONG_ENDS for mark in marks):
        return Boundary.CLAUSE if goes_on and core != word else Boundary.SENTENCE
    if marks == ".":
        kind = _break_after_abbreviation(stem.lstrip(OPENERS + "\"'"), before, after, first)
        if kind is not None:
            return kind
    return Boundary.CLAUSE if goes_on and not line_end else Boundary.SENTENCE


def _break_inside_sentence(word: str, core: str, after: str) -> int:
    last = core[-1:]
    if last == ";" and "GREEK" in unicodedata.name(core[-2:-1] or ";", ""):
        return Boundary.SENTENCE
    if word in DASHES or (last and last in CLAUSE_ENDS):
        return Boundary.CLAUSE
    if word[-1].isdigit() and after[0].isdigit():
        return TIGHT
    if not has_speech(word) or (not has_speech(after) and after[0] not in OPENERS):
        return TIGHT
    if _UNSPACED.match(word[-1]) and _UNSPACED.match(after[0]):
        return Boundary.CLAUSE
    return Boundary.WORD


def _break_after_abbreviation(stem: str, before: str, after: str, first: bool) -> int | None:
    """The break after ``stem`` and one full stop; None where that stop is an ordinary one."""
    key = stem.casefold()
    starts_sentence = after.rstrip(",") in _STARTERS
    numbered = after.lstrip("#" + OPENERS)[:1].isdigit()
    kind: int | None = None
    if stem.isdecimal() and len(stem) <= 3:
        if first or numbered or after.rstrip(ENDS + CLAUSE_ENDS + CLOSERS) in _AFTER_AN_ORDINAL:
            kind = TIGHT
    elif stem in _TITLES or key in _NEVER_LAST or (key in _BEFORE_A_NUMBER and numbered):
        kind = TIGHT
    elif stem in _NAME_OR_LAST:
        kind = Boundary.SENTENCE if starts_sentence else TIGHT
    elif len(stem) == 1 and stem.isalpha() and stem.lower() != stem.upper():
        if before[:-1].isalpha() and len(before) == 2 and f"{before}{stem}".casefold() in _NEVER_LAST:
            kind = TIGHT
        else:
            kind = Boundary.SENTENCE if starts_sentence else TIGHT
    elif key in _MAY_BE_LAST or _DOTTED.fullmatch(stem):
        kind = Boundary.SENTENCE if starts_sentence else Boundary.WORD
    return kind


def _begins_lower(word: str) -> bool:
    letter = _WORD_CHAR.search(word)
    return letter is not None and letter.group().islower()
