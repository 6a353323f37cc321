"""Italian."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return "primo" if number == 1 else numerals.cardinal(number, "it")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "it", "feminine" if hours == 1 else "")
    return f"{hour} e {numerals.cardinal(minutes, 'it')}" if minutes else hour


def _ordinal(number: int, form: str) -> str:
    return numerals.ordinal(number, "it", "feminine" if form in {"ª", "a"} else "masculine")


def _reign(number: int) -> str:
    return numerals.ordinal(number, "it", "masculine")


def _gender(number: int, noun: str) -> str:
    if number != 1 or not noun:
        return ""
    feminine = noun.endswith(("a", "zione", "sione", "tà")) and not noun.endswith(("ma", "ta"))
    return "feminine" if feminine else "masculine"


VOCABULARY = Vocabulary(
    language="it",
    point="virgola",
    minus="meno",
    spaced_groups=True,
    signs=pairs(
        "&=e; +=più; @=chiocciola; #=numero; ×=per; ÷=diviso; ±=più o meno; ≈=circa; ~=circa; <=minore di; "
        ">=maggiore di; ≤=al massimo; ≥=almeno; ≠=diverso da; §=paragrafo; ©=copyright; °=gradi; hashtag=hashtag; :=a; "
        "*=per; √=radice di; ∞=infinito; →=a; ‰=per mille; ²=al quadrato; ³=al cubo; /=barra"
    )
    | {"=": "uguale a"},
    address=pairs(
        ".=punto; /=barra; -=trattino; _=trattino basso; @=chiocciola; :=due punti; ?=punto interrogativo; &=e; "
        "#=cancelletto; ~=tilde; %=per cento"
    )
    | {"=": "uguale"},
    to="a",
    abbreviations=pairs(
        "Sig.=signor; Sig.ra=signora; Sig.na=signorina; Sigg.=signori; Dott.=dottor; Dott.ssa=dottoressa; Dr.=dottor; "
        "Prof.=professor; Prof.ssa=professoressa; Ing.=ingegner; Avv.=avvocato; On.=onorevole; S.=San; ecc.=eccetera; "
        "etc.=eccetera; es.=esempio; p.es.=per esempio; p. es.=per esempio; ca.=circa; a.C.=avanti Cristo; "
        "d.C.=dopo Cristo; tel.=telefono; Tel.=telefono; c.m.=corrente mese"
    ),
    before_number=pairs(
        "n.=numero; N.=numero; n°=numero; nº=numero; p.=pagina; pag.=pagina; pagg.=pagine; pp.=pagine; "
        "art.=articolo; cap.=capitolo; vol.=volume; fig.=figura"
    ),
    currencies=pairs(
        "USD=dollaro dollari|centesimo centesimi; EUR=euro euro|centesimo centesimi; GBP=sterlina sterline|penny "
        "pence; "
        "JPY=yen yen; CNY=yuan yuan; CHF=franco franchi|centesimo centesimi"
    ),
    minor_joiner="e",
    scales=pairs(
        "mila=mila; milione=milione; milioni=milioni; miliardo=miliardo; miliardi=miliardi; Mln=milioni; "
        "mln=milioni; mld=miliardi"
    ),
    of="di",
    months=numbered("gen=1; feb=2; apr=4; mag=5; giu=6; lug=7; ago=8; set=9; sett=9; ott=10; nov=11; dic=12"),
    day=_day,
    time=_time,
    ordinals=r"(?P<n>[0-9]{1,3})(?P<form>[ºª°])",
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=un mezzo; 1/3=un terzo; 2/3=due terzi; 1/4=un quarto; 3/4=tre quarti; 1/5=un quinto; 2/5=due quinti; "
        "3/5=tre quinti; 4/5=quattro quinti; 1/10=un decimo"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Capitolo capitolo Tomo tomo Parte Atto Titolo"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
