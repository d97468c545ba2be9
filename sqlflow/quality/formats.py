"""What texts of a known kind look like: a condition in SQL that holds for them, the same on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sqlflow.core.sql import Sql, Value, compose
from sqlflow.quality.codes import COUNTRIES, COUNTRIES_OF_THREE, CURRENCIES

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_GROUP = "[0-9A-Fa-f]{1,4}"
# Eight groups, or fewer with `::` in place of the others; the last two may be written as an IPv4 address.
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7)),
        f":(:{_GROUP}){{1,7}}",
        "::",
        f"({_GROUP}:){{6}}{_IPV4}",
        f"::({_GROUP}:){{0,5}}{_IPV4}",
    ]
)
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"


def _like(pattern: str) -> Callable[[Sql], Sql]:
    return lambda text: compose("{v} ~ {p}", v=text, p=Value(f"^(?:{pattern})$"))


def _one_of(codes: Iterable[str]) -> Callable[[Sql], Sql]:
    values = [Value(code) for code in sorted(codes)]
    return lambda text: compose("{v} IN ({codes})", v=text, codes=values)


def _iban(text: Sql) -> Sql:
    """Its form, and the remainder of 1 by 97 that its check digits make; blanks between groups are looked past."""
    bare = compose("upper(replace({v}, ' ', ''))", v=text)
    digits = compose("substr({v}, 5) || substr({v}, 1, 4)", v=bare)
    for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        digits = compose("replace({d}, {a}, {n})", d=digits, a=Value(letter), n=Value(str(place + 10)))
    # Casts that must not fail, for texts that are none: what is no digit is dropped.
    number = compose("regexp_replace({d}, '[^0-9]', '', 'g')", d=digits)
    rest = compose("CAST('0' || substr({n}, 1, 9) AS BIGINT) % 97", n=number)
    for start in range(10, 66, 7):
        rest = compose("CAST(({rest}) || substr({n}, {start}, 7) AS BIGINT) % 97", rest=rest, n=number, start=start)
    form = compose("{v} ~ {p}", v=bare, p=Value("^(?:[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})$"))
    return compose("{form} AND {rest} = 1", form=form, rest=rest)


FORMATS: Mapping[str, Callable[[Sql], Sql]] = {
    "email": _like(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})+"),
    "uuid": _like("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "url": _like(rf"https?://({_LABEL}(\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?([/?#][^ \t\r\n]*)?"),
    "iban": _iban,
    "phone": _like(r"\+[1-9]([ .()-]{0,2}[0-9]){6,14}"),
    "ip": _like(f"{_IPV4}|{_IPV6}"),
    "ipv4": _like(_IPV4),
    "ipv6": _like(_IPV6),
    "country": _one_of(COUNTRIES),
    "country3": _one_of(COUNTRIES_OF_THREE),
    "currency": _one_of(CURRENCIES),
}
"""Format -> the condition of a text. `phone` is as E.164 has it, with its country: `+44 20 7946 0018`. `country` and `currency`
are the codes of ISO 3166-1 (two letters; `country3` has three) and ISO 4217, in capitals."""
