"""What templates ask about the run of dbt that they are in: another target, or other flags, may give another query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_FLAGS: Mapping[str, object] = {
    "FULL_REFRESH": False, "STORE_FAILURES": False, "WHICH": "run", "DEBUG": False, "EMPTY": False, "STRICT_MODE": False,
    "WARN_ERROR": False, "PRINT": True, "INDIRECT_SELECTION": "eager", "TARGET_PATH": "target", "LOG_PATH": "logs",
}  # fmt: skip
_PLACES = ("type", "schema", "database", "dbname", "dataset", "project", "catalog", "threads")


class Target(dict[str, Any]):
    """`target`. What another target is likely to have otherwise is told."""

    def __init__(self, values: Mapping[str, Any], tell: Callable[[str, str], None]) -> None:
        super().__init__(values)
        self._tell = tell

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if key not in _PLACES:
            self._tell(
                f"the query asks for `target.{key}`, which is `{value}`", "give another target with `--dbt-target`"
            )
        return value

    def get(self, key: str, otherwise: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return otherwise


class Flags:
    """`flags` of a plain `dbt run`."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell

    def __getattr__(self, name: str) -> object:
        if name not in _FLAGS:
            raise AttributeError(name)
        value = _FLAGS[name]
        self._tell(
            f"the query asks for `flags.{name}`, which is `{value}`", "write it as in the other case, if that counts"
        )
        return value
