"""German."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_WEAK = table("am im zum vom beim dem den des zur seit bis ab")
_NOMINATIVE = table("der die das jede diese")


def _day(number: int, before: str) -> str:
    return _ordinal(number, before)


def _ordinal(number: int, before: str) -> str:
    words = before.lower().split()
    dative = len(words) == 2 and words[1] == "der"
    if dative or (words and words[-1] in _WEAK):
        return numerals.ordinal(number, "de", "n")
    return numerals.ordinal(number, "de", "" if words and words[-1] in _NOMINATIVE else "r")


def _year(number: int) -> str:
    return numerals.year(number, "de") if 1100 <= number < 2000 else numerals.cardinal(number, "de")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "de", "masculine")
    return f"{hour} Uhr {numerals.cardinal(minutes, 'de')}" if minutes else f"{hour} Uhr"


def _reign(number: int) -> str:
    return f"der {numerals.ordinal(number, 'de').capitalize()}"


def _gender(number: int, noun: str) -> str:
    if number % 100 != 1:
        return ""
    return "feminine" if noun.endswith(("e", "ung", "heit", "keit", "schaft", "tion", "tät")) else "neuter"


VOCABULARY = Vocabulary(
    language="de",
    point="Komma",
    minus="minus",
    single_decimals=True,
    signs=pairs(
        "&=und; +=plus; @=at; #=Nummer; ×=mal; ÷=geteilt durch; ±=plus minus; ≈=ungefähr; ~=ungefähr; <=kleiner als; "
        ">=größer als; ≤=höchstens; ≥=mindestens; ≠=ungleich; §=Paragraph; ©=Copyright; °=Grad; hashtag=Hashtag; "
        "*=mal; √=Wurzel aus; :=zu; ∞=unendlich; →=nach; ‰=Promille; ²=hoch zwei; ³=hoch drei; /=Schrägstrich"
    )
    | {"=": "gleich"},
    address=pairs(
        ".=Punkt; /=Schrägstrich; -=minus; _=Unterstrich; @=at; :=Doppelpunkt; ?=Fragezeichen; &=und; #=Raute; "
        "~=Tilde; "
        "%=Prozent"
    )
    | {"=": "gleich"},
    to="bis",
    abbreviations=pairs(
        "z.B.=zum Beispiel; z. B.=zum Beispiel; d.h.=das heißt; d. h.=das heißt; u.a.=unter anderem; "
        "u. a.=unter anderem; o.ä.=oder ähnlich; o. ä.=oder ähnlich; i.d.R.=in der Regel; i. d. R.=in der Regel; "
        "u.s.w.=und so weiter; usw.=und so weiter; bzw.=beziehungsweise; ca.=circa; evtl.=eventuell; "
        "ggf.=gegebenenfalls; inkl.=inklusive; exkl.=exklusive; vgl.=vergleiche; bspw.=beispielsweise; etc.=et cetera; "
        "sog.=sogenannte; max.=maximal; Mio.=Millionen; Mrd.=Milliarden; Dr.=Doktor; Prof.=Professor; Fr.=Frau; "
        "Hr.=Herr; Hrn.=Herrn; Dipl.=Diplom; Ing.=Ingenieur; St.=Sankt; Jh.=Jahrhundert; Std.=Stunden; Tel.=Telefon; "
        "v. Chr.=vor Christus; n. Chr.=nach Christus; v.Chr.=vor Christus; n.Chr.=nach Christus; geb.=geboren; "
        "zzgl.=zuzüglich; bzgl.=bezüglich; insb.=insbesondere; mind.=mindestens"
    ),
    before_number=pairs(
        "Nr.=Nummer; S.=Seite; Bd.=Band; Kap.=Kapitel; Abb.=Abbildung; Art.=Artikel; Abs.=Absatz; Min.=Minuten; "
        "Str.=Straße"
    ),
    currencies=pairs(
        "USD=Dollar Dollar|Cent Cent; EUR=Euro Euro|Cent Cent; GBP=Pfund Pfund|Pence Pence; JPY=Yen Yen; CNY=Yuan "
        "Yuan; "
        "CHF=Franken Franken|Rappen Rappen; PLN=Złoty Złoty|Groszy Groszy; RUB=Rubel Rubel|Kopeken Kopeken"
    ),
    minor_named=False,
    scales=pairs(
        "Tausend=tausend; tausend=tausend; Million=Million; Millionen=Millionen; Milliarde=Milliarde; "
        "Milliarden=Milliarden; Billionen=Billionen; Mio=Millionen; Mrd=Milliarden"
    ),
    months=numbered(
        "jan=1; jänner=1; feb=2; mrz=3; mär=3; apr=4; jun=6; jul=7; aug=8; sep=9; sept=9; okt=10; nov=11; dez=12"
    ),
    day=_day,
    year=_year,
    time=_time,
    time_suffixes=r"Uhr",
    ordinals=(
        r"(?:(?P<form>(?:\b(?:in|bei|von|mit|nach|seit|zu|aus|auf|an|vor) )?"
        r"\b(?:[aA]m|[iI]m|[zZ]um|[vV]om|[bB]eim|[dD]e[mns]|[zZ]ur|[dD]er|[dD]ie|[dD]as|jede|diese)) )"
        r"(?P<n>[0-9]{1,3})\.(?= [a-zäöüA-ZÄÖÜ])"
    ),
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=ein halb; 1/3=ein Drittel; 2/3=zwei Drittel; 1/4=ein Viertel; 3/4=drei Viertel; 1/5=ein Fünftel; "
        "2/5=zwei Fünftel; 3/5=drei Fünftel; 4/5=vier Fünftel; 1/8=ein Achtel; 1/10=ein Zehntel"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Kapitel Teil Band Akt Klasse Artikel Typ Stufe"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
