"""The functions that may give something else in another build, by engine.

The lists are held against the catalogue of the engine: `tests/compiler/test_functions.py` walks over all of its functions,
and fails for one that is neither listed here nor the same each time by what the engine itself says of it.
"""
