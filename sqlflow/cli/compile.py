"""`sqlflow compile`: check everything, and write the SQL that would run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.build.examine import Checked
from sqlflow.build.examine import compile_project as compile_all
from sqlflow.build.standing import look_at
from sqlflow.cli.build import show_warnings
from sqlflow.cli.opening import opened, read_settings, tell
from sqlflow.cli.render import diagnostics_json, to_json
from sqlflow.core.amounts import counted
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Severity
from sqlflow.core.names import TableName


def compile_project(project: Path | None, target: str | None, variables: Sequence[str], *, json: bool) -> int:
    """Compile, and write `target/compiled/**.sql` and `target/manifest.json`. The exit code."""
    config = read_settings(project, target, variables)
    with opened(config, tell, writing=False, wait=0, without_database=True, caching=True) as found:
        tables = found.engine.tables() if found.engine is not None else None
        remembered = found.store.sources() if found.store is not None and tables is None else {}
        checked = compile_all(found.workshop, tables, remembered, look_at(found.engine, found.config).records)
        warnings = list(checked.warnings)
        if (config.root / "tests").is_dir():
            from sqlflow.cli.units import warnings_of_units

            warnings += warnings_of_units(checked, found)
    show_warnings(warnings)
    folder = config.root / "target"
    folder.mkdir(exist_ok=True)
    _write(folder, checked)
    manifest = manifest_of(checked)
    (folder / "manifest.json").write_text(to_json(manifest) + "\n", encoding="utf-8")
    if json:
        problems = diagnostics_json(warnings)
        print(to_json({**manifest, "problems": problems, "analysed": sorted(checked.analysed)}))
    else:
        tests = len(_tests(checked))
        also = f" and {counted(tests, 'test')}" if tests else ""
        print(f"compiled {len(checked.compiled.models) - tests} models{also} into {folder.name}/", file=sys.stderr)
    return 0


def _write(folder: Path, checked: Checked) -> None:
    """The compiled queries, in place of those of the last time."""
    compiled = folder / "compiled"
    if compiled.exists():
        shutil.rmtree(compiled)
    for model in checked.compiled.models.values():
        path = compiled / _file_name(model.name.schema) / f"{_file_name(model.name.name)}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_both(model) + "\n", encoding="utf-8")


def _both(model: CompiledModel) -> str:
    """The query that runs, after what the author wrote where it was translated for the target."""
    authored = model.model.query.text
    if not model.model.dialect:
        return model.query.text
    written = "".join(f"-- {line}".rstrip() + "\n" for line in authored.splitlines())
    return f"-- As it is written:\n{written}\n{model.query.text}"


def _file_name(name: str) -> str:
    """A name of a table as the name of a file: what would lead elsewhere is replaced."""
    return "".join("_" if c in "/\\:\0" else c for c in name).strip(".") or "_"


def manifest_of(checked: Checked) -> dict[str, object]:
    """Everything that is known of a project, for other programs."""
    compiled, tests = checked.compiled, _tests(checked)
    return {
        "format": 1,
        "models": {str(name): _model(compiled.models[name]) for name in compiled.order if name not in tests},
        "tests": {str(name): {**_model(model), "severity": _severity(model)} for name, model in tests.items()},
        "seeds": {
            str(n): {"path": s.path, "description": s.description, "columns": _columns(checked, n)}
            for n, s in compiled.project.seeds.items()
        },
        "sources": {
            str(name): {
                "path": source.path,
                "table": str(source.table) if source.table else None,
                "description": source.description,
                "time": source.time,
                "cursor": source.cursor,
                "key": list(source.key),
                "append_only": source.append_only,
                "columns": _columns(checked, name),
            }
            for name, source in compiled.project.sources.items()
        },
        "undeclared": [str(name) for name in compiled.undeclared],
    }


def _tests(checked: Checked) -> dict[TableName, CompiledModel]:
    models = checked.compiled.models
    return {name: models[name] for name in checked.compiled.order if models[name].header.promise.tests}


def _severity(test: CompiledModel) -> str:
    return "error" if test.header.severity is Severity.ERROR else "warn"


def _columns(checked: Checked, name: TableName) -> list[dict[str, str]]:
    return [{"name": c.name, "type": c.type} for c in checked.compiled.columns.get(name, ())]


def _model(model: CompiledModel) -> dict[str, object]:
    header = model.header
    notes = {name.lower(): note for name, note in header.columns.items()}
    lineage = {column.name.lower(): column for column in model.lineage.columns}
    columns = []
    for column in model.schema:
        note, made = notes.get(column.name.lower()), lineage.get(column.name.lower())
        columns.append(
            {
                "name": column.name,
                "type": column.type,
                "description": note.description if note else "",
                "tags": list(note.tags) if note else [],
                "kind": made.kind if made else None,
                "from": [str(ref) for ref in made.direct] if made else None,
            }
        )
    return {
        "file": str(model.model.file.path),
        "mode": str(header.mode),
        "description": header.description,
        "owner": header.owner,
        "tags": sorted(header.tags),
        "parents": [str(parent) for parent in model.parents],
        "columns": columns,
        "rows_from": {kind: [str(ref) for ref in refs] for kind, refs in model.lineage.indirect.items()},
        "lineage_complete": model.lineage.complete,
        "checks": [check.name for check in header.checks],
        "fingerprint": model.fingerprint.query,
        "sql": model.query.text,
        **({"authored_sql": model.model.query.text} if model.model.dialect else {}),
    }
