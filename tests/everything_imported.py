"""All of SQLFlow, and what it uses: imported once, by the server that tests fork processes off (`children`)."""

from __future__ import annotations

import gc
import importlib
import pkgutil

import duckdb
import hooked_engine
import psycopg
import sqlglot.dialects.duckdb
import sqlglot.dialects.postgres

import sqlflow

OTHERS = (duckdb, hooked_engine, psycopg, sqlglot)

for _module in pkgutil.walk_packages(sqlflow.__path__, "sqlflow."):
    if not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)
gc.collect()
gc.freeze()
