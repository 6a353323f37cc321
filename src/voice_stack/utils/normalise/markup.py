"""Markdown and HTML taken off a text, its words and its paragraphs kept."""

import html
import re

BLOCK_TAGS = (
    "p|br|div|li|ul|ol|h[1-6]|tr|table|section|article|blockquote|pre|hr|body|head|html|main|header|footer|title"
)
INLINE_TAGS = "a|b|i|u|s|em|strong|span|code|small|big|sub|sup|mark|del|ins|q|cite|kbd|abbr|font|img|td|th|tbody|thead"
_BLOCK_TAG = re.compile(rf"</?(?:{BLOCK_TAGS})(?:\s[^<>]{{0,500}})?/?>", re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?(?:{INLINE_TAGS})(?:\s[^<>]{{0,500}})?/?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--[^<>]{0,2000}-->")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)?[^\s<>]{3,500})>")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,1000})\]"
    r"(?:\([^()\s]{0,1000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?(?: [\"'(][^\n\"]{0,300}[\"')])?\)|\[[^\[\]\n]{0,100}\])"
)
_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,30}\]:?")
_DEFINITION = re.compile(r"^ {0,3}\[[^\[\]\n^]{1,100}\]: +\S+(?: +[\"'(][^\n]*)?$", re.MULTILINE)

_FENCE = re.compile(r"^[ \t]{0,3}(?:`{3,}|~{3,})[^\n`]*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+([^\n]*)$", re.MULTILINE)
_CLOSING_HASHES = re.compile(r"[ \t]+#+[ \t]*$")
_QUOTE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?)+", re.MULTILINE)
_BULLET = re.compile(r"^([ \t]*)[*+•‣◦▪●-][ \t]+(?:\[[ xX]\][ \t]+)?(?=\S)", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*\|([^\n]*)\|[ \t]*$", re.MULTILINE)

_OPENING = re.compile(r"(?<![\w*_~=\\])(?:\*{1,3}|_{1,3}|~~|==)(?=[^\s*_~=])")
_CLOSING = re.compile(r"(?<=[^\s*_~=\\])(?:\*{1,3}|_{1,3}|~~|==)(?![\w*_~=])")
_STRONG_INSIDE = re.compile(r"(?<=\w)\*\*(?=\w)")
_CODE = re.compile(r"`+")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~-])")


def plain_text(text: str) -> str:
    """Take Markdown and HTML off a text: headings, emphasis, links (their text stays), code, lists, tables, tags.

    A heading is a paragraph of its own, a row of a table a sentence with commas between its cells; every list item
    begins with ``- ``. The targets of links, and what tags hold beside text, are dropped; no other word is.
    Takes linear time, and is to be called on the whole text, since markup spans lines.
    """
    if "<" in text:
        text = _COMMENT.sub("", text)
        text = _AUTOLINK.sub(r"\1", _INLINE_TAG.sub("", _BLOCK_TAG.sub("\n", text))) if ">" in text else text
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "`" in text or "~~~" in text:
        text = _CODE.sub("", _FENCE.sub("", text))
    if "[" in text:
        text = _DEFINITION.sub("", text)
        text = _FOOTNOTE.sub("", text)
        text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))  # an image may stand inside of a link
    if ">" in text:
        text = _QUOTE.sub("", text)
    if "#" in text:
        text = _HEADING.sub(lambda match: f"\n{_CLOSING_HASHES.sub('', match[1])}\n", text)
    if "|" in text:
        text = _TABLE_ROW.sub(_row, _TABLE_RULE.sub("", text))
    text = _BULLET.sub(r"\1- ", text)
    if any(mark in text for mark in ("*", "_", "~~", "==")):
        text = _STRONG_INSIDE.sub("", _CLOSING.sub("", _OPENING.sub("", text)))
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def _row(match: re.Match[str]) -> str:
    cells = [cell.strip() for cell in match[1].split("|")]
    row = ", ".join(cell for cell in cells if cell)
    return f"\n{row}\n" if row else ""
