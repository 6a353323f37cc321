"""French."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_FEMININE_NOUNS = table(
    "heure heures minute minutes seconde secondes livre livres tonne tonnes semaine semaines année "
    "années fois page pages personne personnes once onces calorie calories"
)


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return "premier" if number == 1 else numerals.cardinal(number, "fr")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = f"{numerals.cardinal(hours, 'fr', 'feminine')} {'heure' if hours < 2 else 'heures'}"
    return f"{hour} {numerals.cardinal(minutes, 'fr')}" if minutes else hour


def _ordinal(number: int, form: str) -> str:
    return numerals.ordinal(number, "fr", "feminine" if form in {"re", "ère"} else "masculine")


def _reign(number: int) -> str:
    return "premier" if number == 1 else numerals.cardinal(number, "fr")


def _gender(number: int, noun: str) -> str:
    return "feminine" if number % 10 == 1 and noun in _FEMININE_NOUNS else ""


VOCABULARY = Vocabulary(
    language="fr",
    point="virgule",
    minus="moins",
    spaced_groups=True,
    signs=pairs(
        "&=et; +=plus; @=arobase; #=numéro; ×=fois; ÷=divisé par; ±=plus ou moins; ≈=environ; ~=environ; "
        "<=inférieur à; >=supérieur à; ≤=au plus; ≥=au moins; ≠=différent de; §=paragraphe; ©=copyright; °=degrés; "
        "hashtag=hashtag; :=à; *=fois; √=racine de; ∞=infini; →=vers; ‰=pour mille; ²=au carré; ³=au cube; /=barre "
        "oblique"
    )
    | {"=": "égale"},
    address=pairs(
        ".=point; /=slash; -=tiret; _=tiret bas; @=arobase; :=deux-points; ?=point d'interrogation; &=et; #=dièse; "
        "~=tilde; %=pour cent"
    )
    | {"=": "égale"},
    to="à",
    abbreviations=pairs(
        "M.=Monsieur; MM.=Messieurs; Mme=Madame; Mmes=Mesdames; Mlle=Mademoiselle; Dr=Docteur; Dr.=Docteur; "
        "Pr=Professeur; Me=Maître; St=Saint; Ste=Sainte; etc.=et cetera; p. ex.=par exemple; p.ex.=par exemple; "
        "c.-à-d.=c'est-à-dire; c-à-d=c'est-à-dire; env.=environ; av. J.-C.=avant Jésus-Christ; "
        "apr. J.-C.=après Jésus-Christ; bd=boulevard; Bd=Boulevard; tél.=téléphone; Tél.=Téléphone; max.=maximum; "
        "min.=minimum"
    ),
    before_number=pairs(
        "n°=numéro; N°=numéro; nº=numéro; no=numéro; p.=page; pp.=pages; art.=article; chap.=chapitre; vol.=volume; "
        "fig.=figure"
    ),
    currencies=pairs(
        "USD=dollar dollars|cent cents; EUR=euro euros|centime centimes; GBP=livre livres|penny pence; JPY=yen yens; "
        "CNY=yuan yuans; CHF=franc francs|centime centimes; PLN=zloty zlotys|grosz groszy; RUB=rouble roubles|kopeck "
        "kopecks"
    ),
    minor_named=False,
    scales=pairs(
        "mille=mille; million=million; millions=millions; milliard=milliard; milliards=milliards; M=millions; "
        "Md=milliards; Mds=milliards; k=mille"
    ),
    of="de",
    months=numbered("janv=1; févr=2; avr=4; juil=7; sept=9; oct=10; nov=11; déc=12"),
    day=_day,
    time=_time,
    time_suffixes=r"heures?|h",
    ordinals=r"(?P<n>[0-9]{1,4})(?P<form>er|re|ère|e|ème|nd|nde)",
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=un demi; 1/3=un tiers; 2/3=deux tiers; 1/4=un quart; 3/4=trois quarts; 1/5=un cinquième; "
        "2/5=deux cinquièmes; 3/5=trois cinquièmes; 4/5=quatre cinquièmes; 1/10=un dixième"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Chapitre chapitre Tome tome Partie partie Acte acte Titre Article"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
