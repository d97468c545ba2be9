"""Whether tables are what they should be: against their queries (`sqlflow verify`) and against each other (`sqlflow diff`).

What counts as equal is the same for both, and for the self-check: `plan/compare.py`.
"""
