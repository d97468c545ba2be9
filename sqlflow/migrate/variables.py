"""`{{ var('x') }}` that stands for a value as `$x`, so that a variable of dbt stays a variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlflow.migrate.blocks import tags_of

Value = bool | int | float | str

_CALL = re.compile(
    r"var\(\s*(?P<mark>['\"])(?P<name>[A-Za-z_]\w*)(?P=mark)\s*(?:,\s*(?P<default>'[^'\\]*'|\"[^\"\\]*\"|-?\d+(?:\.\d+)?)\s*)?\)"
)
_TAKEN = ("start", "end")  # of incremental models


def with_variables(text: str, value_of: Callable[[str], tuple[bool, object]]) -> tuple[str, Mapping[str, Value]]:
    """A template in which values are variables, and these variables. `value_of`: whether dbt knows a variable, and its value.

    >>> with_variables("where day >= '{{ var('first') }}' limit {{ var('n', 3) }}", lambda name: (name == "first", "2024-01-01"))
    ('where day >= {% raw %}$first{% endraw %} limit {% raw %}$n{% endraw %}', {'first': '2024-01-01', 'n': 3})
    """
    pieces: list[str] = []
    found: dict[str, Value] = {}
    position = 0
    for tag in tags_of(text):
        call = _CALL.fullmatch(tag.inside) if tag.kind == "{" else None
        if call is None or call["name"].lower() in _TAKEN:
            continue
        known, value = value_of(call["name"])
        if not known and call["default"] is not None:
            value = _literal(call["default"])
        name, begin, end = call["name"], tag.start, tag.end
        if isinstance(value, str):
            if text[begin - 1 : begin] != "'" or text[end : end + 1] != "'" or "'" in value or not value:
                continue
            begin, end = begin - 1, end + 1
        elif (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or re.match(r"\w|['\"]", text[end : end + 1] or " ")
        ):
            continue
        if re.search(r"[\w'\"$.]$", text[max(0, begin - 1) : begin]) or found.get(name, value) != value:
            continue
        pieces += [text[position:begin], f"{{% raw %}}${name}{{% endraw %}}"]
        found[name], position = value, end
    return "".join([*pieces, text[position:]]), found


def with_values(sql: str, variables: Mapping[str, Value]) -> str:
    """A query with the values put in again."""
    for name, value in variables.items():
        sql = re.sub(rf"\${name}\b", lambda _, value=value: f"'{value}'" if isinstance(value, str) else str(value), sql)  # type: ignore[misc]
    return sql


def _literal(text: str) -> Value:
    if text[0] in "'\"":
        return text[1:-1]
    return float(text) if "." in text else int(text)
