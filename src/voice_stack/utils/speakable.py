"""What of a text has a sound: telling whether there is any, and removing what has none."""

import re
import unicodedata

# The Hangul fillers are letters, but blank ones.
_SPEECH = re.compile(r"[^\W_\u115f\u1160\u3164\uffa0]")

_LINE_BREAK = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# No sound and no place of their own: they vanish, and what stood around them moves together. These are the soft
# hyphen, zero-width and bidi controls, variation selectors, tags, the enclosing keycap and the blank Hangul fillers.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e01ef]+"
)
_PICTURE = (  # inside of a character class; digits in circles and © ® ™ ° № can be said and are not here
    "\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u24c2\u2500-\u2775\u2794-\u27bf\u2934\u2935"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001f0ff\U0001f10d-\U0001faff"
)
_SILENT = "\0-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"
# Joiners and selectors inside of an emoji go with it; spaces after it go too, not to leave two in a row.
_UNSPEAKABLE = re.compile(f"[{_PICTURE}{_SILENT}][{_PICTURE}{_SILENT}\u200d]* *")
_JOINERS = re.compile("[\u200c\u200d]+")
_FIRST_JOINED_SCRIPT = "\u0590"
"""Hebrew, Arabic, the Indic and all later scripts; before it (Latin, Greek, Cyrillic) a joiner has no meaning."""


def has_speech(text: str) -> bool:
    """Whether there is something to say: a letter or a digit of any script.

    False for text of only punctuation, symbols, emoji, white space, control characters or variation selectors.
    A keycap emoji holds its digit and can be said: true.
    """
    return _SPEECH.search(text) is not None


def strip_unspeakable(text: str) -> str:
    """Remove what no voice can say: emoji, control characters, invisible characters, lone surrogates, private use.

    Letters, digits, punctuation, currency and other signs stay, as do the joiners inside of Persian and Indic words.
    An emoji or a control character between two words leaves a space; a keycap emoji leaves its digit. Every line
    break becomes a newline. Applying it twice changes nothing more.
    """
    text = _LINE_BREAK.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    text = _UNSPEAKABLE.sub(_space_between_words, text)
    return _JOINERS.sub(_joiners_of_a_word, text)


def _space_between_words(match: re.Match[str]) -> str:
    text, start, end = match.string, match.start(), match.end()
    before, after = text[max(start - 1, 0) : start], text[end : end + 1]
    return "" if not before or not after or before.isspace() or after.isspace() else " "


def _joiners_of_a_word(match: re.Match[str]) -> str:
    start = match.start()
    before = match.string[max(start - 1, 0) : start]
    joined = before >= _FIRST_JOINED_SCRIPT and unicodedata.category(before)[0] in "LM"
    return match.group() if joined else ""
