"""The macros that dbt itself brings, for the SQL of each adapter: `dbt.dateadd(...)`, `type_string()` and their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

DBT: Mapping[str, Callable[..., object]] = {}
