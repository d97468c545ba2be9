"""`sqlflow explain CODE`: the hint page of a diagnostic."""

from __future__ import annotations

from sqlflow.cli.packaged import packaged
from sqlflow.core.diagnostics import did_you_mean, one_problem


def explain_code(code: str) -> int:
    """Print the page. The exit code."""
    pages = {path.stem: path for path in packaged("_hints", "docs/hints").glob("*.md")}
    wanted = code.strip().lower().removeprefix("error[").removesuffix("]")
    if wanted not in pages:
        hint = did_you_mean(wanted, pages) or "the code stands in brackets: error[CODE]"
        raise one_problem("unknown-code", f"there is no diagnostic `{code}`", None, hint)
    print(pages[wanted].read_text(encoding="utf-8").strip())
    return 0
