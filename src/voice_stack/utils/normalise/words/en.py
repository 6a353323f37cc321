"""English."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_DENOMINATORS = {2: "half", 4: "quarter"}


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return numerals.ordinal(number, "en")


def _year(number: int) -> str:
    if 1100 <= number < 2000 or 2010 <= number < 2100:
        return numerals.year(number, "en")
    return numerals.cardinal(number, "en")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "en")
    if minutes == 0:
        return f"{hour} o'clock" if 1 <= hours <= 12 else f"{hour} hundred"
    minute = numerals.cardinal(minutes, "en")
    return f"{hour} oh {minute}" if minutes < 10 else f"{hour} {minute}"


def _ordinal(number: int, form: str) -> str:  # noqa: ARG001
    return numerals.ordinal(number, "en")


def _reign(number: int) -> str:
    return f"the {numerals.ordinal(number, 'en')}"


def _fractions() -> dict[str, str]:
    found = {}
    for below in range(2, 11):
        name = _DENOMINATORS.get(below) or numerals.ordinal(below, "en")
        for above in range(1, below):
            plural = "halves" if below == 2 else f"{name}s"
            found[f"{above}/{below}"] = f"{numerals.cardinal(above, 'en')} {name if above == 1 else plural}"
    return found


VOCABULARY = Vocabulary(
    language="en",
    point="point",
    minus="minus",
    decimal_mark=".",
    single_decimals=True,
    signs=pairs(
        "&=and; +=plus; @=at; #=number; ×=times; ÷=divided by; ±=plus or minus; ≈=about; ~=about; "
        "<=less than; >=greater than; ≤=at most; ≥=at least; ≠=is not; §=section; ©=copyright; °=degrees; "
        "hashtag=hashtag; *=times; √=square root of; :=to; ∞=infinity; →=to; ‰=per mille; ²=squared; ³=cubed; /=slash"
    )
    | {"=": "equals"},
    address=pairs(
        ".=dot; /=slash; -=dash; _=underscore; @=at; :=colon; ?=question mark; &=and; #=hash; ~=tilde; %=percent"
    )
    | {"=": "equals"},
    to="to",
    abbreviations=pairs(
        "Mr.=Mister; Mrs.=Missus; Ms.=Miz; Prof.=Professor; Rev.=Reverend; Hon.=Honorable; Gen.=General; "
        "Capt.=Captain; Lt.=Lieutenant; Col.=Colonel; Sgt.=Sergeant; Sen.=Senator; Rep.=Representative; Gov.=Governor; "
        "Dr.=Doctor|Drive; St.=Saint|Street; Ave.=Avenue; Blvd.=Boulevard; Rd.=Road; Mt.=Mount; Ft.=Fort; "
        "Jr.=Junior; Sr.=Senior; e.g.=for example; i.e.=that is; etc.=et cetera; vs.=versus; approx.=approximately; "
        "Inc.=Incorporated; Ltd.=Limited; Corp.=Corporation; Co.=Company; dept.=department; Dept.=Department; "
        "govt.=government; w/o=without; w/=with; C#=C sharp; F#=F sharp; "
        "Mon.=Monday; Tue.=Tuesday; Tues.=Tuesday; Wed.=Wednesday; Thu.=Thursday; Thur.=Thursday; Thurs.=Thursday; "
        "Fri.=Friday; Sat.=Saturday; Sun.=Sunday; Jan.=January; Feb.=February; Mar.=March; Apr.=April; Jun.=June; "
        "Jul.=July; Aug.=August; Sep.=September; Sept.=September; Oct.=October; Nov.=November; Dec.=December"
    ),
    only_inside=table("Sun. Jan. Mar."),
    before_number=pairs(
        "No.=number; no.=number; Nos.=numbers; nos.=numbers; p.=page; pp.=pages; Vol.=volume; vol.=volume; "
        "Fig.=figure; "
        "fig.=figure; Ch.=chapter; ch.=chapter; Sec.=section; sec.=section; Art.=article; art.=article; ca.=about; "
        "c.=about; est.=established; Est.=established; Eq.=equation; ext.=extension; Ext.=extension"
    ),
    currencies=pairs(
        "USD=dollar dollars|cent cents; EUR=euro euros|cent cents; GBP=pound pounds|pence pence; JPY=yen yen; "
        "CNY=yuan yuan; INR=rupee rupees|paisa paise; RUB=ruble rubles|kopeck kopecks; PLN=zloty zlotys|grosz groszy; "
        "CHF=franc francs|centime centimes; KRW=won won"
    ),
    minor_joiner="and",
    scales=pairs(
        "thousand=thousand; million=million; billion=billion; trillion=trillion; k=thousand; K=thousand; m=million; "
        "M=million; mn=million; bn=billion; B=billion; T=trillion; tn=trillion"
    ),
    months=numbered("jan=1; feb=2; mar=3; apr=4; jun=6; jul=7; aug=8; sep=9; sept=9; oct=10; nov=11; dec=12"),
    month_first=True,
    date="{month} {day}, {year}",
    day=_day,
    year=_year,
    time=_time,
    ordinals=r"(?P<n>[0-9]{1,9}(?:,[0-9]{3})?)(?P<form>st|nd|rd|th|ST|ND|RD|TH)",
    ordinal=_ordinal,
    fractions=_fractions(),
    roman=dict.fromkeys(
        table(
            "Chapter Part Volume Act Scene Section Book Phase Type Class Article War Appendix Level Super "
            "Bowl Rocky Title Stage Grade Group Figure Table"
        ),
        "cardinal",
    ),
    reign=_reign,
    acronyms=table("UNESCO UNICEF NASDAQ COVID HTTPS NAACP FIFA UEFA ASCII"),
    emphasised=table(
        "yes no not all any and but or if out new old big hot wet dry off bad few too see day six men boy man kid mom "
        "dad dog car eat run win won cut hit let ask pay buy far low own lot top end way red the his her she he my we "
        "you your why how now never this that only very must more most less stop wait here free done off over"
    ),
)
