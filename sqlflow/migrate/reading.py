"""Reads a dbt project from its folder: settings, profile, packages, models, seeds, snapshots, tests, YAML properties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from sqlflow.core.diagnostics import one_problem
from sqlflow.migrate.blocks import blocks_of
from sqlflow.migrate.configs import folder_config
from sqlflow.migrate.dbt import DbtModel, DbtProject, Left, Output, Package, Place, Properties, TextFile
from sqlflow.migrate.ignored import read_ignored
from sqlflow.migrate.jinja import rendered_values
from sqlflow.migrate.versions import each_version

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTY_KINDS = (
    "models", "seeds", "snapshots", "sources", "macros", "exposures", "metrics", "groups", "analyses",
    "semantic_models", "saved_queries", "unit_tests", "data_tests", "functions",
)  # fmt: skip
_NO_NAME = re.compile(r"\.(sql|csv|py|ipynb)$")


def read_dbt_project(
    root: Path,
    profiles: Path | None,
    variables: Mapping[str, Any],
    environment: Mapping[str, str],
    dialect: str | None,
    started: datetime,
    target: str | None = None,
) -> DbtProject:
    """The project in `root`. Raises ProjectError when it is none."""
    left: list[Left] = []
    settings_path = next(
        (root / name for name in ("dbt_project.yml", "dbt_project.yaml") if (root / name).is_file()), None
    )
    if settings_path is None:
        below = (
            sorted(path.parent.relative_to(root) for path in root.glob("*/dbt_project.yml"))[:3]
            if root.is_dir()
            else []
        )
        hint = (
            "did you mean " + " or ".join(f"`{root / one}`" for one in below) + "?"
            if below
            else "give the folder with dbt_project.yml"
        )
        raise one_problem("no-dbt-project", f"`{root}` has no dbt_project.yml", None, hint)
    settings = _settings(root, settings_path, environment, variables, [], None)  # what is wrong is told the second time
    output = _output(root, settings, profiles, environment, dialect, target, left)
    said = {
        **output.said,
        "name": output.name,
        "schema": output.schema,
        "type": output.type,
        "profile_name": output.profile,
    }
    settings = _settings(root, settings_path, environment, variables, left, said)
    name = str(settings.get("name") or root.name)
    packages = [_package(root, PurePosixPath("."), name, settings, left)]
    packages += _installed(root, settings, environment, variables, left, said)
    known = {one.name for one in packages}
    missing = tuple(one for one in _wanted_packages(root, left) if one not in known)
    properties = tuple(found for package in packages for found in _properties(root, package, left))
    by_name = {(one.kind, one.name): one for one in reversed([*each_version(properties), *properties])}
    nodes = []
    for package in packages:
        for node in (*_nodes(root, package, packages[0], left), *_snapshots(properties, package, packages[0])):
            kind = _KIND_OF.get(node.resource, "")
            nodes.append(
                DbtModel(
                    node.name,
                    node.resource,
                    node.package,
                    node.file,
                    node.fqn,
                    node.folder_config,
                    node.first_line,
                    by_name.get((kind, node.name)),
                )
            )
    return DbtProject(
        root,
        name,
        tuple(packages),
        tuple(nodes),
        properties,
        output,
        variables,
        environment,
        started,
        missing,
        tuple(left),
    )


_KIND_OF = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "analysis": "analyses", "test": "data_tests"}


# ---------------------------------------------------------------- settings


def _settings(
    root: Path,
    path: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, Any],
    left: list[Left],
    target: Mapping[str, Any] | None,
) -> Mapping[str, Any]:
    loaded = _yaml(path, PurePosixPath(path.relative_to(root).as_posix()), left)
    if not isinstance(loaded, dict):
        left.append(Left(path.name, Place(PurePosixPath(path.relative_to(root).as_posix())), "it is no mapping"))
        return {}
    kept = {key: value for key, value in loaded.items() if key in _RENDERED_LATER}
    problems: list[str] = []
    rendered = rendered_values(
        {key: value for key, value in loaded.items() if key not in kept},
        environment,
        {**_plain_vars(loaded), **variables},
        problems,
        target,
    )
    place = Place(PurePosixPath(path.relative_to(root).as_posix()))
    left += [Left("dbt_project.yml", place, problem) for problem in problems]
    if target is not None and re.search(r"\{[{%][^}]*\btarget\b", _text_of(path) or ""):
        reason = f"what asks for `target` is evaluated for `{target['name']}`"
        left.append(Left("dbt_project.yml", place, reason, "give another target with `--dbt-target`"))
    return {**rendered, **kept}


_RENDERED_LATER = ("on-run-start", "on-run-end", "query-comment", "vars")


def _plain_vars(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("vars")
    return (
        {key: value for key, value in found.items() if not isinstance(value, dict)} if isinstance(found, dict) else {}
    )


def _output(
    root: Path,
    settings: Mapping[str, Any],
    profiles: Path | None,
    environment: Mapping[str, str],
    dialect: str | None,
    target: str | None,
    left: list[Left],
) -> Output:
    """The output of profiles.yml that is in use; where there is none, what can be told from the project."""
    profile = settings.get("profile")
    for folder in [profiles] if profiles is not None else _folders_of_profiles(root, environment):
        path = folder if folder.is_file() else folder / "profiles.yml"
        if not path.is_file():
            if profiles is not None:
                hint = "give the folder of profiles.yml, or the file itself; without `--profiles` SQLFlow looks where dbt does"
                raise one_problem("no-dbt-project", f"`{profiles}` has no profiles.yml", None, hint)
            continue
        loaded = _yaml(path, PurePosixPath(path.name), left)
        if not isinstance(loaded, dict):
            continue
        known = [key for key in loaded if key != "config"]
        chosen = profile if profile in loaded else known[0] if len(known) == 1 else None
        if chosen is None and profiles is not None:
            listed = ", ".join(f"`{one}`" for one in known)
            raise one_problem("no-dbt-project", f"`{path}` has no profile `{profile}`", None, f"its profiles: {listed}")
        if chosen is None or not isinstance(loaded[chosen], dict):
            continue
        problems: list[str] = []
        said = rendered_values(loaded[chosen], environment, {}, problems, lenient=True)
        outputs = said.get("outputs") or {}
        name = target or said.get("target") or "default"
        if name not in outputs and outputs:
            if target:
                raise one_problem(
                    "unknown-target",
                    f"the profile `{chosen}` has no target `{target}`",
                    None,
                    "targets: " + ", ".join(f"`{one}`" for one in outputs),
                )
            name = next(iter(outputs))
        found = outputs.get(name)
        if isinstance(found, dict):
            kind = str(dialect or found.get("type") or "duckdb")
            schema = found.get("schema") or found.get("dataset") or ("main" if kind == "duckdb" else "public")
            return Output(str(name), kind, str(schema), found, str(chosen))
    kind = dialect or _guessed_dialect(root, settings)
    return Output(target or "dev", kind, "main" if kind == "duckdb" else "public", {}, str(profile or ""), assumed=True)


def _folders_of_profiles(root: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where dbt looks for profiles.yml, first what is most special."""
    home = environment.get("HOME")
    given = environment.get("DBT_PROFILES_DIR")
    return [root, *([Path(given)] if given else []), *([Path(home) / ".dbt"] if home else [])]


_ADAPTERS = ("duckdb", "postgres", "snowflake", "bigquery", "redshift", "databricks", "spark", "trino", "athena", "clickhouse", "sqlserver", "tsql", "mysql", "presto", "synapse", "fabric", "sqlite", "oracle", "motherduck")  # fmt: skip
_SIGNS = (
    ("snowflake", ("snowflake_warehouse", "transient:", "copy_grants", "query_tag", "::variant", "qualify row_number")),
    (
        "bigquery",
        (
            "require_partition_filter",
            "partition_expiration",
            "data_type:",
            "safe_cast(",
            "`{{",
            "timestamp_trunc(",
            "_table_suffix",
            "dataset:",
            "cluster_by:",
            "labels:",
        ),
    ),
    ("redshift", ("dist:", "sort_type", "distkey", "sortkey", "diststyle")),
    ("databricks", ("file_format", "location_root", "tblproperties", "unity catalog")),
    ("duckdb", ("read_parquet(", "read_csv", "external_location", "duckdb", "union by name")),
)


def _guessed_dialect(root: Path, settings: Mapping[str, Any]) -> str:
    """The adapter that the project was written for, from what it says in passing."""
    for name in (".sqlfluff", "setup.cfg", "pyproject.toml"):
        path = root / name
        if path.is_file() and (
            match := re.search(r"^\s*dialect\s*=\s*[\"']?(\w+)", _text_of(path) or "", re.MULTILINE)
        ):
            return "postgres" if match[1] == "ansi" else match[1].replace("sparksql", "spark")
    for name in ("requirements.txt", "requirements.in", "pyproject.toml", "Pipfile", "dbt-requirements.txt"):
        for path in (root / name, root.parent / name):
            found = re.findall(r"dbt-(\w+)", (_text_of(path) or "") if path.is_file() else "")
            known = [one for one in found if one in _ADAPTERS]
            if known:
                return str(known[0])
    profile = str(settings.get("profile") or "").lower()
    for adapter in _ADAPTERS:
        if adapter in profile:
            return adapter
    counts = dict.fromkeys((name for name, _ in _SIGNS), 0)
    texts = [_text_of(root / "dbt_project.yml") or ""]
    texts += [_text_of(path) or "" for path in sorted((root / "models").rglob("*.sql"))[:400]]
    for text in texts:
        lower = text.lower()
        counts["snowflake"] += bool(
            re.search(r"\b(?:datediff|dateadd)\(\s*(?:year|quarter|month|week|day|hour|minute|second)s?\s*,", lower)
        )
        for name, signs in _SIGNS:
            counts[name] += any(sign in lower for sign in signs)
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else "duckdb"


# ---------------------------------------------------------------- packages


def _package(root: Path, folder: PurePosixPath, name: str, settings: Mapping[str, Any], left: list[Left]) -> Package:
    macros = tuple(_files(root, folder, _paths(settings, "macro-paths", ["macros"]), (".sql",), left))
    # Generic tests may stand in tests/generic.
    tests = _files(
        root, folder, [f"{path}/generic" for path in _paths(settings, "test-paths", ["tests"])], (".sql",), left
    )
    places = [
        path
        for key in ("docs-paths", "model-paths", "seed-paths", "snapshot-paths", "analysis-paths", "macro-paths")
        for path in _paths(settings, key, _DEFAULT_PATHS.get(key, []))
    ]
    docs = tuple(_files(root, folder, list(dict.fromkeys(places)), (".md",), left))
    return Package(name, folder, settings, macros + tuple(tests), docs)


_DEFAULT_PATHS = {
    "model-paths": ["models"], "seed-paths": ["seeds"], "snapshot-paths": ["snapshots"], "analysis-paths": ["analyses"],
    "macro-paths": ["macros"], "test-paths": ["tests"], "docs-paths": [],
}  # fmt: skip
_OLD_KEYS = {"model-paths": "source-paths", "seed-paths": "data-paths"}


def _paths(settings: Mapping[str, Any], key: str, default: list[str]) -> list[str]:
    found = settings.get(key, settings.get(_OLD_KEYS.get(key, ""), None))
    if isinstance(found, str):
        return [found]
    return [str(one) for one in found] if isinstance(found, list) else list(default)


def _installed(
    root: Path,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    variables: Mapping[str, Any],
    left: list[Left],
    target: Mapping[str, Any],
) -> Iterator[Package]:
    folder = root / str(settings.get("packages-install-path") or "dbt_packages")
    if not folder.is_dir() and (root / "dbt_modules").is_dir():
        folder = root / "dbt_modules"
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if (path / "dbt_project.yml").is_file():
            loaded = _settings(root, path / "dbt_project.yml", environment, variables, left, target)
            name = str(loaded.get("name") or path.name)
            yield _package(root, PurePosixPath(path.relative_to(root).as_posix()), name, loaded, left)


def _wanted_packages(root: Path, left: list[Left]) -> Iterator[str]:
    """Names of the packages that packages.yml asks for, as far as they can be told without a network."""
    for name in ("packages.yml", "dependencies.yml"):
        path = root / name
        loaded = _yaml(path, PurePosixPath(name), left) if path.is_file() else None
        for one in (loaded or {}).get("packages") or [] if isinstance(loaded, dict) else []:
            said = one if isinstance(one, dict) else {}
            whole = said.get("package") or said.get("git") or said.get("local") or ""
            yield str(whole).rstrip("/").rpartition("/")[2].removesuffix(".git").replace("-", "_")


# ---------------------------------------------------------------- nodes


def _nodes(root: Path, package: Package, main: Package, left: list[Left]) -> Iterator[DbtModel]:
    settings = package.settings
    for key, resource, endings in (
        ("model-paths", "model", (".sql", ".py")),
        ("seed-paths", "seed", (".csv",)),
        ("snapshot-paths", "snapshot", (".sql",)),
        ("analysis-paths", "analysis", (".sql",)),
        ("test-paths", "test", (".sql",)),
    ):
        if package is not main and resource in ("analysis", "test"):
            continue
        default = _DEFAULT_PATHS[key] if key != "analysis-paths" else ["analyses", "analysis"]
        for top in _paths(settings, key, default):
            for file in _files(root, package.root, [top], endings, left):
                inside = file.path.relative_to(package.root / top)
                if resource == "test" and inside.parts[0] in ("generic", "fixtures"):
                    continue
                yield from _nodes_of(file, inside, resource, package, main)


def _snapshots(properties: Sequence[Properties], package: Package, main: Package) -> Iterator[DbtModel]:
    """Snapshots that stand in YAML, with the table that they are of."""
    for one in properties:
        if one.kind == "snapshots" and one.said.get("relation") and one.place.path.is_relative_to(package.root):
            if package is main and any(
                one.place.path.is_relative_to(other) for other in (PurePosixPath("dbt_packages"),)
            ):
                continue
            file = TextFile(one.place.path, f"select * from {{{{ {one.said['relation']} }}}}")
            fqn = (package.name, one.name)
            config = folder_config(fqn, "snapshot", package, main)
            yield DbtModel(one.name, "snapshot", package.name, file, fqn, config, one.place.line)


def _nodes_of(
    file: TextFile, inside: PurePosixPath, resource: str, package: Package, main: Package
) -> Iterator[DbtModel]:
    folders = inside.parts[:-1]
    blocks = (
        blocks_of(file.text, "snapshot") if file.path.suffix == ".sql" and resource in ("model", "snapshot") else []
    )
    for block in blocks:
        fqn = (package.name, *folders, inside.stem, block.name)
        config = folder_config(fqn, "snapshot", package, main)
        yield DbtModel(block.name, "snapshot", package.name, TextFile(file.path, block.body), fqn, config, block.line)
    if resource == "snapshot" or blocks:
        return
    fqn = (package.name, *folders, inside.stem)
    yield DbtModel(inside.stem, resource, package.name, file, fqn, folder_config(fqn, resource, package, main))


def _files(
    root: Path, folder: PurePosixPath, tops: list[str], endings: tuple[str, ...], left: list[Left]
) -> Iterator[TextFile]:
    is_ignored = read_ignored(root / folder)
    for top in tops:
        start = root / folder / top
        if not start.is_dir():
            continue
        for path in sorted(start.rglob("*")):
            relative = path.relative_to(root / folder)
            if path.suffix.lower() not in endings or not path.is_file():
                continue
            if any(part.startswith(".") for part in relative.parts):
                continue
            if is_ignored(PurePosixPath(relative.as_posix())):
                continue
            place = PurePosixPath(path.relative_to(root).as_posix())
            if path.suffix == ".csv":
                yield TextFile(place, "")  # read when it is copied
                continue
            text = _text_of(path)
            if text is None:
                left.append(Left("file", Place(place), "the file is not UTF-8 text", "save it as UTF-8"))
                continue
            yield TextFile(place, text)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


# ---------------------------------------------------------------- properties


def _properties(root: Path, package: Package, left: list[Left]) -> Iterator[Properties]:
    settings = package.settings
    tops = [
        path
        for key in ("model-paths", "seed-paths", "snapshot-paths", "analysis-paths", "macro-paths", "test-paths")
        for path in _paths(settings, key, _DEFAULT_PATHS[key])
    ]
    for file in _files(root, package.root, list(dict.fromkeys(tops)), (".yml", ".yaml"), left):
        loaded = _parsed(file, left)
        if loaded is None:
            continue
        if not isinstance(loaded, dict):
            left.append(Left("YAML file", Place(file.path), "it is no mapping"))
            continue
        for kind, entries in loaded.items():
            if kind not in _PROPERTY_KINDS:
                if kind not in ("version", "anchors"):
                    left.append(
                        Left(str(kind), Place(file.path, line_of(file.text, f"{kind}:")), "dbt's key is not known here")
                    )
                continue
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and entry.get("name") is not None:
                    name = str(entry["name"])
                    yield Properties(name, kind, entry, Place(file.path, line_of_name(file.text, name, kind)))


def _parsed(file: TextFile, left: list[Left]) -> object:
    try:
        return yaml.load(file.text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        left.append(
            Left("YAML file", Place(file.path, line), f"it cannot be read: {getattr(error, 'problem', None) or error}")
        )
        return None


def _yaml(path: Path, shown: PurePosixPath, left: list[Left]) -> object:
    text = _text_of(path)
    if text is None:
        left.append(Left("YAML file", Place(shown), "it cannot be read"))
        return None
    return _parsed(TextFile(shown, text), left)


def line_of_name(text: str, name: str, kind: str = "") -> int:
    """The line with `name: NAME`, behind the key `kind`."""
    start = re.search(rf"^{re.escape(kind)}:", text, re.MULTILINE) if kind else None
    pattern = re.compile(rf"name\s*:\s*[\"']?{re.escape(name)}[\"']?\s*(?:$|[,}}#])", re.MULTILINE)
    match = pattern.search(text, start.end() if start else 0)
    return text.count("\n", 0, match.start()) + 1 if match else 0


def line_of(text: str, needle: str) -> int:
    """The first line that begins with `needle`."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith(needle)), 0)
