"""Dutch."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return numerals.cardinal(number, "nl")


def _year(number: int) -> str:
    return numerals.year(number, "nl") if 1100 <= number < 2000 and number % 100 else numerals.cardinal(number, "nl")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "nl")
    return f"{hour} uur {numerals.cardinal(minutes, 'nl')}" if minutes else f"{hour} uur"


def _ordinal(number: int, form: str) -> str:  # noqa: ARG001
    return numerals.ordinal(number, "nl")


def _reign(number: int) -> str:
    return f"de {numerals.ordinal(number, 'nl').capitalize()}"


VOCABULARY = Vocabulary(
    language="nl",
    point="komma",
    minus="min",
    signs=pairs(
        "&=en; +=plus; @=apenstaartje; #=nummer; ×=keer; ÷=gedeeld door; ±=plus of min; ≈=ongeveer; ~=ongeveer; "
        "<=kleiner dan; >=groter dan; ≤=hoogstens; ≥=minstens; ≠=ongelijk aan; §=paragraaf; ©=copyright; °=graden; "
        "hashtag=hashtag; *=keer; √=wortel van; ∞=oneindig; →=naar; ‰=promille; ²=kwadraat; ³=tot de derde; "
        "/=schuine streep"
    )
    | {"=": "is"},
    address=pairs(
        ".=punt; /=slash; -=streepje; _=laag streepje; @=apenstaartje; :=dubbele punt; ?=vraagteken; &=en; #=hekje; "
        "~=tilde; %=procent"
    )
    | {"=": "is"},
    to="tot",
    abbreviations=pairs(
        "dhr.=de heer; Dhr.=De heer; mevr.=mevrouw; Mevr.=Mevrouw; mw.=mevrouw; Mw.=Mevrouw; dr.=dokter; Dr.=Dokter; "
        "drs.=doctorandus; prof.=professor; Prof.=Professor; ir.=ingenieur; mr.=meester; bijv.=bijvoorbeeld; "
        "bv.=bijvoorbeeld; d.w.z.=dat wil zeggen; enz.=enzovoort; etc.=et cetera; o.a.=onder andere; ca.=circa; "
        "t/m=tot en met; m.b.t.=met betrekking tot; i.p.v.=in plaats van; a.u.b.=alstublieft; incl.=inclusief; "
        "excl.=exclusief; mld.=miljard; mln.=miljoen; tel.=telefoon; Tel.=Telefoon; v.Chr.=voor Christus; "
        "n.Chr.=na Christus; jl.=jongstleden; resp.=respectievelijk; evt.=eventueel"
    ),
    before_number=pairs(
        "nr.=nummer; Nr.=nummer; blz.=bladzijde; p.=pagina; art.=artikel; hfst.=hoofdstuk; fig.=figuur; vol.=volume"
    ),
    currencies=pairs(
        "USD=dollar dollar|cent cent; EUR=euro euro|cent cent; GBP=pond pond|pence pence; JPY=yen yen; CNY=yuan yuan; "
        "CHF=frank frank|centime centimes"
    ),
    minor_named=False,
    scales=pairs(
        "duizend=duizend; miljoen=miljoen; miljard=miljard; biljoen=biljoen; mln=miljoen; mld=miljard; M=miljoen"
    ),
    months=numbered("jan=1; feb=2; mrt=3; apr=4; jun=6; jul=7; aug=8; sep=9; sept=9; okt=10; nov=11; dec=12"),
    day=_day,
    year=_year,
    time=_time,
    time_suffixes=r"uur|u",
    ordinals=r"(?P<n>[0-9]{1,4})(?P<form>e|de|ste)",
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=een half; 1/3=een derde; 2/3=twee derde; 1/4=een kwart; 3/4=drie kwart; 1/5=een vijfde; 2/5=twee vijfde; "
        "3/5=drie vijfde; 4/5=vier vijfde; 1/10=een tiende"
    ),
    roman=dict.fromkeys(table("Hoofdstuk hoofdstuk Deel deel Klasse Artikel"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
