"""Portuguese."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_MASCULINE_IN_A = table("dia dias grama gramas quilograma quilogramas miligrama miligramas problema problemas")


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return "primeiro" if number == 1 else numerals.cardinal(number, "pt")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "pt", "feminine")
    if minutes:
        return f"{hour} e {numerals.cardinal(minutes, 'pt')}"
    return f"{hour} {'hora' if hours == 1 else 'horas'}"


def _ordinal(number: int, form: str) -> str:
    return numerals.ordinal(number, "pt", "feminine" if form == "ª" else "masculine")


def _reign(number: int) -> str:
    return numerals.ordinal(number, "pt", "masculine") if number <= 10 else numerals.cardinal(number, "pt")


def _gender(number: int, noun: str) -> str:
    if not noun or (number % 10 not in (1, 2) and number < 200):
        return ""
    feminine = noun.endswith(("a", "as", "ção", "ções", "dade", "dades")) and noun not in _MASCULINE_IN_A
    return "feminine" if feminine else "masculine"


VOCABULARY = Vocabulary(
    language="pt",
    point="vírgula",
    minus="menos",
    spaced_groups=True,
    signs=pairs(
        "&=e; +=mais; @=arroba; #=número; ×=vezes; ÷=dividido por; ±=mais ou menos; ≈=cerca de; ~=cerca de; "
        "<=menor que; >=maior que; ≤=no máximo; ≥=no mínimo; ≠=diferente de; §=parágrafo; ©=copyright; °=graus; "
        "hashtag=hashtag; :=a; *=vezes; √=raiz de; ∞=infinito; →=para; ‰=por mil; ²=ao quadrado; ³=ao cubo; /=barra"
    )
    | {"=": "igual a"},
    address=pairs(
        ".=ponto; /=barra; -=hífen; _=sublinhado; @=arroba; :=dois pontos; ?=interrogação; &=e; #=cerquilha; ~=til; "
        "%=por cento"
    )
    | {"=": "igual"},
    to="a",
    abbreviations=pairs(
        "Sr.=senhor; Sra.=senhora; Srta.=senhorita; Srs.=senhores; Dr.=doutor; Dra.=doutora; Prof.=professor; "
        "Profa.=professora; Eng.=engenheiro; Av.=avenida; R.=rua; etc.=et cetera; p. ex.=por exemplo; p.ex.=por "
        "exemplo; "
        "a.C.=antes de Cristo; d.C.=depois de Cristo; tel.=telefone; Tel.=telefone; aprox.=aproximadamente; "
        "Ltda.=limitada"
    ),
    before_number=pairs(
        "n.º=número; nº=número; Nº=número; n°=número; núm.=número; pág.=página; págs.=páginas; p.=página; "
        "art.=artigo; cap.=capítulo; vol.=volume; fig.=figura"
    ),
    currencies=pairs(
        "USD=dólar dólares|centavo centavos; EUR=euro euros|cêntimo cêntimos; GBP=libra libras|pêni pence; "
        "BRL=real reais|centavo centavos; JPY=iene ienes; CNY=yuan yuans; CHF=franco francos|cêntimo cêntimos"
    ),
    minor_joiner="e",
    scales=pairs("mil=mil; milhão=milhão; milhões=milhões; bilhão=bilhão; bilhões=bilhões; mi=milhões; bi=bilhões"),
    of="de",
    months=numbered("jan=1; fev=2; mar=3; abr=4; mai=5; jun=6; jul=7; ago=8; set=9; out=10; nov=11; dez=12"),
    date="{day} de {month} de {year}",
    day=_day,
    time=_time,
    time_suffixes=r"horas?|h",
    ordinals=r"(?P<n>[0-9]{1,3})\.?(?P<form>[ºª°])",
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=um meio; 1/3=um terço; 2/3=dois terços; 1/4=um quarto; 3/4=três quartos; 1/5=um quinto; 2/5=dois quintos; "
        "3/5=três quintos; 4/5=quatro quintos; 1/10=um décimo"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Capítulo capítulo Tomo tomo Parte Ato século Século Título"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
