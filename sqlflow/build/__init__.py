"""The life of a build: examine (read, parse, link, compile) -> stand -> prepare (select, look, plan) -> run (execute, record).

The one place that knows the order of the stages. Commands share these functions by calling them; what they need of the
outside (a binder, an engine, a store, a clock) is handed to them.
"""
