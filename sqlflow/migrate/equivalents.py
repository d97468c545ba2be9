"""What stands for macros that dbt and well-known packages bring, by package and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlflow.migrate.dbt_date import DBT_DATE
from sqlflow.migrate.dbt_macros import DBT
from sqlflow.migrate.dbt_utils import DBT_UTILS
from sqlflow.migrate.fivetran_utils import FIVETRAN_UTILS

EQUIVALENTS: Mapping[str, Mapping[str, Callable[..., object]]] = {
    "dbt": DBT,
    "dbt_utils": DBT_UTILS,
    "dbt_date": DBT_DATE,
    "fivetran_utils": FIVETRAN_UTILS,
}
