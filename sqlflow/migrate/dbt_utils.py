"""What stands for the macros of dbt_utils."""

from __future__ import annotations

from collections.abc import Callable, Mapping

DBT_UTILS: Mapping[str, Callable[..., object]] = {}
