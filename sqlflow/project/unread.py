"""Files and folders of a project that look as if they meant something, and that nothing reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.source import Span

# What people keep beside the files of a project: texts, pictures, and what they or their editors set aside.
_QUIET = frozenset(
    [
        ".md",
        ".rst",
        ".adoc",
        ".html",
        ".pdf",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".svg",
        ".drawio",
        ".bak",
        ".orig",
        ".rej",
        ".tmp",
        ".swp",
        ".swo",
        ".old",
        ".off",
        ".disabled",
        ".pyc",
        ".lock",
        ".ini",
        ".toml",
        ".cfg",
        ".db",
    ]
)
_QUIET_NAMES = ("readme", "license", "licence", "changelog", "notice", "authors", "codeowners", "makefile", "todo")
_DATA = frozenset(
    [".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".gz", ".zst", ".duckdb", ".xlsx", ".avro", ".arrow"]
)
_YAML = (".yml", ".yaml")
_READ: Mapping[str, tuple[str, ...]] = {
    "models": (".sql",),
    "sources": _YAML,
    "seeds": (".csv",),
    "macros": (".sql",),
    "tests": (".sql", *_YAML),
}
_OTHER_FOLDERS: Mapping[str, str] = {
    "analyses": "a query that makes no table is not part of a project; one that others read belongs into models/",
    "analysis": "a query that makes no table is not part of a project; one that others read belongs into models/",
    "snapshots": "history is kept by a model with `-- @mode: merge`, in models/",
}
_MOST_ENTRIES = 500


def unread_files(paths: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], root: Path) -> Iterator[Diagnostic]:
    """A warning for what nothing reads. `paths`, `folders`: what was found and passed over inside the project's folders."""
    groups: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = {}
    for path in paths:
        if (hint := _hint(path)) is not None:
            groups.setdefault((path.parent, hint), []).append(path)
    for (_, hint), group in groups.items():
        others = f" and {len(group) - 1} more beside it" if len(group) > 1 else ""
        yield _unread(group[0], f"nothing reads `{group[0]}`{others}", hint)
    for folder in folders:
        if _holds(root / folder, _READ[folder.parts[0]], 0):
            yield _unread(folder, f"nothing reads the files in `{folder}`", f"move them up, into {folder.parts[0]}/")
    yield from _beside(root)


def _hint(path: PurePosixPath) -> str | None:
    """What to do about a file; None for one that may lie there."""
    suffix = path.suffix.lower()
    if suffix in _QUIET or path.name.lower().startswith(_QUIET_NAMES) or path.parts[-2] == "__pycache__":
        return None
    match path.parts[0], suffix:
        case "models", ".yml" | ".yaml":
            return (
                "checks and documentation of a model stand in its own file: `-- @not_null` behind a column, `-- @checks:` "
                "at the top; sources are declared in sources/*.yml"
            )
        case "models", ".csv" | ".tsv" | ".parquet" | ".json":
            return "small tables are seeds: seeds/NAME.csv; other data is declared in sources/*.yml"
        case "models", ".py" | ".ipynb" | ".r":
            return "a model is one SQL query in a file that ends in .sql"
        case "models", _:
            return "the file of a model ends in .sql"
        case "seeds", ".yml" | ".yaml":
            return "settings of seeds stand directly in seeds/: `seeds/seeds.yml`"
        case "seeds", _:
            return "a seed is a file that ends in .csv; other data is declared in sources/*.yml, with its `path`"
        case "sources", _:
            return None if suffix in _DATA else "sources are declared in files that end in .yml, directly in sources/"
        case "macros", _:
            return "macros are `CREATE MACRO` statements in files that end in .sql, directly in macros/, and checks of your own in macros/checks/"
        case "tests", other if other != ".py":  # tests of other tools may lie beside ours
            return "a test is a query that returns no rows, in a .sql file, or a unit test of a model, in a .yml file"
        case _:
            return None


def _beside(root: Path) -> Iterator[Diagnostic]:
    """What lies beside sqlflow.yml under a name that is nearly one of ours."""
    try:
        with os.scandir(root) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in islice(entries, _MOST_ENTRIES))
    except OSError:
        return
    for name, is_folder in found:
        path, folded = PurePosixPath(name), name.lower()
        if is_folder and name not in _READ:
            near = get_close_matches(folded, _READ, n=1, cutoff=0.8)
            if near and _holds(root / name, _READ[near[0]], 2):
                yield _unread(path, f"nothing reads the folder `{name}/`", f"did you mean `{near[0]}/`?")
            elif folded in _OTHER_FOLDERS and _holds(root / name, (".sql",), 2):
                yield _unread(path, f"nothing reads the folder `{name}/`", _OTHER_FOLDERS[folded])
        elif not is_folder and folded in ("sqlflow.yml", "sqlflow.yaml") and name != "sqlflow.yml":
            yield _unread(path, f"nothing reads `{name}`", "the project file is `sqlflow.yml`")
        elif not is_folder and folded in ("sources.yml", "sources.yaml", "source.yml", "schema.yml"):
            yield _unread(path, f"nothing reads `{name}`", "sources are declared in sources/*.yml")


def _holds(folder: Path, suffixes: tuple[str, ...], deep: int) -> bool:
    """Whether a folder, or one in it, holds such a file, as far as a glance shows."""
    try:
        with os.scandir(folder) as entries:
            glance = list(islice(entries, _MOST_ENTRIES))
            if any(entry.name.lower().endswith(suffixes) for entry in glance):
                return True
            below = [entry.path for entry in islice((e for e in glance if deep and e.is_dir()), 20)]
    except OSError:
        return False
    return any(_holds(Path(path), suffixes, deep - 1) for path in below)


def _unread(path: PurePosixPath, message: str, hint: str) -> Diagnostic:
    return Diagnostic("unread-file", message, Span(path, 1, 1), hint, Severity.WARNING)
