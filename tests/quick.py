"""The tests that a change can reach: `make quick`, or `python tests/quick.py [COMMIT]`.

A map from parts of the tree to tests, made to answer within a minute, so it is no proof: `make test` runs all of them. What
changed is told by git: what is not committed, else the last commit; or all since a given commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHOSEN_CASES = "SQLFLOW_TEST_CASES"
"""The variable with the names of the files of tests/cases/ that are run; all, when there is none."""

SPINE = ("tests/test_template.py", "cases/modes")  # from files to tables, with the engine that needs no server
REACH: Mapping[str, Sequence[str]] = {
    "sqlflow/project/*": ("tests/project", "cases/written", "cases/variables", "cases/messages"),
    "sqlflow/compiler/*": ("tests/compiler", "cases/queries_in_tests"),
    "sqlflow/translation/*": ("tests/engines/test_translat*.py", "tests/engines/test_words_of_two_meanings.py"),
    "sqlflow/graph/*": ("cases/selection", "cases/names", "tests/watch", "tests/commands/test_large_queries.py"),
    "sqlflow/changes/*": ("cases/files", "cases/following", "tests/engines/test_casts_of_files.py"),
    "sqlflow/plan/modes/snapshot.py": ("cases/histories", "cases/modes"),
    "sqlflow/plan/*": (
        "cases/modes",
        "cases/following",
        "cases/strategies",
        "tests/core",
    ),
    "sqlflow/runner/*": ("cases/failure_demos", "tests/commands/test_two_processes.py", "tests/test_memory.py"),
    "sqlflow/proof/*": ("cases/verify", "cases/equality", "tests/commands/test_verify.py"),
    "sqlflow/quality/*": ("tests/quality", "cases/checks", "cases/queries_in_tests", "tests/project/test_columns.py"),
    "sqlflow/unit/*": ("cases/unit_tests",),
    "sqlflow/profile/*": ("cases/profile",),
    "sqlflow/state/*": ("cases/state", "cases/projects", "tests/commands/test_two_processes.py"),
    "sqlflow/cache/*": ("tests/cache", "tests/commands/test_cache.py"),
    "sqlflow/watch/*": ("tests/watch", "tests/commands/test_watch.py"),
    "sqlflow/migrate/*": ("tests/migrate", "cases/migrate_dbt"),
    "sqlflow/observe/*": ("tests/observe",),
    "sqlflow/cli/watch*": ("tests/watch", "tests/commands/test_watch.py"),
    "sqlflow/cli/migrate*": ("tests/migrate", "cases/migrate_dbt"),
    "sqlflow/cli/check*": ("cases/check_reports", "cases/checks"),
    "sqlflow/cli/profile.py": ("cases/profile",),
    "sqlflow/cli/record.py": ("cases/unit_tests",),
    "sqlflow/cli/units.py": ("cases/unit_tests",),
    "sqlflow/cli/verify.py": ("cases/verify", "tests/commands/test_verify.py"),
    "sqlflow/cli/diff.py": ("cases/equality", "cases/verify"),
    "sqlflow/cli/*": ("tests/cli", "tests/commands/test_json_output.py", "cases/commands", "cases/messages"),
    "sqlflow/engines/postgres*": ("tests/engines/test_postgres_*.py",),
    "sqlflow/engines/*": ("tests/engines/test_facts.py", "cases/settings", "cases/files"),
    "sqlflow/build/*": ("cases/commands", "cases/state"),
    "sqlflow/core/*": ("tests/core", "tests/laws/test_intervals.py", "tests/project", "tests/cli", "tests/compiler"),
    "docs/*": ("tests/test_docs.py",),
    "README.md": ("tests/test_docs.py",),
    "project_template/*": ("tests/test_template.py",),
    "constraints*.txt": ("tests/test_constraints.py",),
    "pyproject.toml": ("tests/test_constraints.py",),
}


def changed(since: str | None) -> list[str]:
    """The paths that were changed since a commit; without one, what is not committed, else the last commit."""
    new = _git("ls-files", "--others", "--exclude-standard")
    if since is not None:
        return [*_git("diff", "--name-only", since), *new]
    return [*_git("diff", "--name-only", "HEAD"), *new] or _git("diff", "--name-only", "HEAD~1")


def reached(paths: Iterable[str]) -> list[str]:
    """Test files and folders, and `cases/NAME` for the Markdown cases of that name."""
    found: dict[str, None] = {}
    for path in paths:
        place = Path(path)
        if path.startswith("tests/cases/"):
            found[f"cases/{place.stem}"] = None
        elif path.startswith("tests/"):
            found[path if place.name.startswith("test_") else "tests/test_template.py"] = None
        else:
            for pattern, tests in REACH.items():
                if fnmatch(path, pattern):
                    found.update(dict.fromkeys((*tests, *(SPINE if path.startswith("sqlflow/") else ()))))
                    break
    return list(found)


def _git(*words: str) -> list[str]:
    ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.split("\n")[:-1]


def main() -> int:
    tests = reached(changed(sys.argv[1] if len(sys.argv) > 1 else None))
    cases = [test.removeprefix("cases/") for test in tests if test.startswith("cases/")]
    files = sorted(
        {str(p.relative_to(ROOT)) for test in tests if not test.startswith("cases/") for p in ROOT.glob(test)}
    )
    if cases:
        files.append("tests/test_cases.py")
    if not files:
        print("nothing that a test reaches was changed")
        return 0
    print("reached:", *tests)
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-q", "-m", "not long", *files]
    environ = {**os.environ, CHOSEN_CASES: ",".join(cases)} if cases else dict(os.environ)
    return subprocess.run(command, cwd=ROOT, env=environ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
