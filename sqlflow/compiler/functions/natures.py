"""What is known of the functions of one engine, and the words that engines share."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from sqlflow.core.clock import Nature


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Functions(Struct, frozen=True):
    """What is known of one engine's functions, by name in lower case.

    `bare`: those that are called without brackets. `fixed`: those of which the engine says that they depend on the time or
    the session, and that do so only by settings that SQLFlow's sessions fix, such as the time zone. `tables`: functions in
    FROM that read nothing from outside; None where they are judged like all others. `patterns`: names by their form.
    """

    natures: Mapping[str, Nature]
    bare: frozenset[str]
    fixed: frozenset[str]
    tables: frozenset[str] | None = None
    patterns: tuple[tuple[re.Pattern[str], Nature | None], ...] = ()

    def nature(self, name: str) -> Nature | None:
        """None for one that is the same each time; UNKNOWN where the engine must be asked."""
        found = self.natures.get(name)
        if found is not None:
            return found
        if name in self.fixed or (self.tables is not None and name in self.tables):
            return None
        for pattern, nature in self.patterns:
            if pattern.fullmatch(name):
                return nature
        return Nature.UNKNOWN


CLOCK = words(
    """
    now current_date current_time current_timestamp localtime localtimestamp transaction_timestamp statement_timestamp
    clock_timestamp timeofday
    """
)
SESSION = words(
    """
    current_catalog current_database current_query current_role current_schema current_schemas current_setting current_user
    session_user system_user user version inet_client_addr inet_client_port inet_server_addr inet_server_port
    """
)
