"""What a server is too old for, in words: https://www.postgresql.org/docs/release/ and `pg_proc` say what came when.

Queries in PostgreSQL's own SQL are judged by the server, whose words do not say that a newer one would take them. What is
translated uses nothing that version 14 does not have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OLDEST = 14


def written(number: int) -> str:
    """The version of a server by its number, such as 160014; until 9.6 the first two parts were the version."""
    return str(number // 10000) if number >= 100000 else f"{number // 10000}.{number // 100 % 100}"


def _words(version: int, text: str) -> Mapping[str, int]:
    return dict.fromkeys(text.split(), version)


# Functions, and words that older servers take for functions, by the version that has them first.
SINCE: Mapping[str, int] = {
    **_words(15, "regexp_count regexp_instr regexp_like regexp_substr"),
    **_words(
        16,
        """
        any_value array_sample array_shuffle date_add date_subtract erf erfc pg_input_error_info pg_input_is_valid
        random_normal
        """,
    ),
    **_words(17, "to_bin to_oct to_regtypemod unicode_assigned uuid_extract_timestamp uuid_extract_version xmltext"),
    **_words(18, "array_reverse array_sort casefold crc32 crc32c gamma lgamma uuidv4 uuidv7"),
}
# No functions but syntax, which the catalogue does not list.
SYNTAX_SINCE: Mapping[str, int] = {
    "MERGE": 15,
    **_words(16, "json_array json_arrayagg json_objectagg"),
    **_words(17, "json_exists json_query json_scalar json_serialize json_value"),
}
_FUNCTION = re.compile(r"function (?:pg_catalog\.)?(\w+)\(.*\) does not exist", re.DOTALL)
_STATEMENT = re.compile(r'syntax error at or near "(MERGE)"')


def too_new(message: str, number: int) -> str:
    """What to say beside the server's error when a newer version would take it; empty otherwise."""
    if number < 160000 and message.endswith(" in FROM must have an alias"):
        return "before version 16, PostgreSQL wants a name behind it, such as `(SELECT ...) AS q`"
    found = _FUNCTION.match(message) or _STATEMENT.match(message)
    name = found[1] if found is not None else ""
    since = SINCE.get(name) or SYNTAX_SINCE.get(name)
    if since is None or number >= since * 10000:
        return ""
    return f"PostgreSQL {since} and later have `{name}`, and this server is version {written(number)}"
