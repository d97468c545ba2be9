"""Unit tests of models: check (names, columns, values) -> run (each on given rows) -> compare with the rows that are expected.

A test whose query alone is asked runs where the binder judges queries, on tables that have rows for once. The steps of a
scenario are builds, by the planner and the runner, in a database of its own.
"""
