"""From a dbt project to a SQLFlow project, with a report of what became of everything.

`migrate.py` knows the order: the files are read (`reading`), each model's Jinja is rendered with the author's text left as
it is (`jinja`, `models`), what dbt would do with the result becomes directives (`incremental`, `headers`), what the YAML files
say becomes checks, sources and comments (`properties`, `checks`), and all is written down (`writing`, `report`).

Jinja2 is the extra `sqlflow[dbt]`. `jinja.py` alone imports it, when a migration begins.
"""
