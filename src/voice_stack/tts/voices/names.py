"""What cloned voices are called: ``{speaker}_{language}.wav``, and the names that clients may give them."""

import re
import unicodedata
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, quoted
from voice_stack.tts.engine.base import ANY_LANGUAGE

MAX_NAME_CHARS = 64
_MAX_NAME_BYTES = 200  # file systems take 255, which the language and the suffix share
_MAX_MARKS = 3  # on one letter: no script writes more
_SUFFIX = ".wav"
_DEFAULT_LANGUAGE = "en"

_ISO_639_1 = frozenset("""
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
    eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv
    ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne
    ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st
    su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split())  # noqa: SIM905 - codes read better
_LANGUAGE = r"(?P<language>[a-z]{2}(?:-[a-z]{2})?)"
_TAG = re.compile(_LANGUAGE, re.IGNORECASE)
_STEM = re.compile(rf"(?P<speaker>.+)_{_LANGUAGE}(?:_(?P<number>[0-9]{{1,3}}))?", re.IGNORECASE | re.DOTALL)

# Windows takes these for devices, whatever follows a dot.
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
# Letters and marks that show nothing: fillers of Hangul and Khmer, joiners, variation selectors.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


@dataclass(frozen=True)
class SampleName:
    """What the name of a recording says."""

    speaker: str
    language: str  # BCP 47, as in en or pt-BR; or ANY_LANGUAGE
    voice_id: str  # the file's name without extension and number
    number: int = 1  # of several samples of one voice


def parse_file_name(file_name: str) -> SampleName | None:
    """Read ``anna_en.wav``, ``anna_en_2.wav``, ``anna.wav``; None for what is no recording of a voice.

    Names are taken in Unicode's NFC, as macOS may write them in NFD.
    """
    if file_name.startswith(".") or not file_name.lower().endswith(_SUFFIX) or len(file_name) == len(_SUFFIX):
        return None
    return parse_voice_id(file_name[: -len(_SUFFIX)])


def parse_voice_id(stem: str) -> SampleName:
    """Read a file's name without its extension."""
    stem = unicodedata.normalize("NFC", stem)
    match = _STEM.fullmatch(stem)
    language = _known_tag(match["language"]) if match else None
    if match is None or language is None:
        return SampleName(stem, ANY_LANGUAGE, stem)
    number = match["number"]
    voice_id = stem[: match.start("number") - 1] if number else stem
    return SampleName(match["speaker"], language, voice_id, int(number or 1))


def name_new_voice(name: str, language: str | None = None) -> SampleName:
    """What a voice will be called that a client wants to have.

    Args:
        name: letters and digits of any script, ``-``, ``_`` and spaces, which become ``-``; may end in the language.
        language: of the recording; None: the one in the name, else English.

    Raises:
        InvalidRequestError: the name or the language cannot be.
    """
    given = unicodedata.normalize("NFC", name).strip(" ").replace(" ", "-")
    _check_name(given)
    tag = None if not language else language_tag(language)
    inside = parse_voice_id(given)
    if inside.number > 1 or inside.voice_id != given:
        raise _refused(name, "ends like the number of a further sample; leave the number out")
    if inside.language == ANY_LANGUAGE:
        speaker, tag = given, tag or _DEFAULT_LANGUAGE
    elif tag in {None, inside.language}:
        speaker, tag = inside.speaker, inside.language
    else:
        raise _refused(name, f"ends in the language {inside.language}, but language is {tag}; leave one of them out")
    _check_name(speaker)
    return SampleName(speaker, tag, f"{speaker}_{tag.lower()}")


def language_tag(language: str) -> str:
    """A client's language as BCP 47: ``en``, ``pt-BR``.

    Raises:
        InvalidRequestError: it is none.
    """
    match = _TAG.fullmatch(language.strip().replace("_", "-"))
    tag = _known_tag(match["language"]) if match else None
    if tag is None:
        raise InvalidRequestError(
            f"There is no language {quoted(language)}; send a code of ISO 639-1, such as en, de or pt-BR.",
            param="language",
        )
    return tag


def collision_key(text: str) -> str:
    """Equal for names that some file system, or a reader in a hurry, takes for one another."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace(" ", "-")
    return unicodedata.normalize("NFKC", folded)


def _known_tag(tag: str) -> str | None:
    language, _, region = tag.partition("-")
    language = language.lower()
    if language not in _ISO_639_1:
        return None
    return f"{language}-{region.upper()}" if region else language


def _check_name(name: str) -> None:
    if not name:
        raise _refused(name, "is empty; send one")
    if len(name) > MAX_NAME_CHARS or len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
        raise _refused(name, f"is too long; {MAX_NAME_CHARS} characters, or {_MAX_NAME_BYTES} bytes, are the most")
    if unicodedata.normalize("NFKC", name) != name:
        raise _refused(name, "holds characters that are other ways to write plain ones; write the plain ones")
    marks = 0
    for character in name:
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        if not (category[0] in "LM" or category == "Nd" or character in "-_") or _INVISIBLE.match(character):
            what = f"holds {quoted(character)} (U+{ord(character):04X})"
            raise _refused(name, f"{what}; use letters, digits, '-' and '_' only")
        if marks > _MAX_MARKS:
            raise _refused(name, f"has more than {_MAX_MARKS} marks on one letter; use fewer")
    if name[0] in "-_" or unicodedata.category(name[0])[0] == "M" or name[-1] in "-_":
        raise _refused(name, "must begin and end with a letter or a digit")
    if name.casefold() in _RESERVED:
        raise _refused(name, "is reserved by some systems; choose another")


def _refused(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The voice name {quoted(name)} {why}.", param="name", code="invalid_voice_name")
