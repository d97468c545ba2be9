"""A case: a project, its data, and what happens to it, as plain values that can be printed, replayed and made smaller."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is written. `mode`: as in its header, or `stream`. `near`: its columns that are equal only but for
    rounding. `says`: the query of what its table must hold, where that is not `sql`."""

    name: str
    header: tuple[str, ...]
    sql: str
    mode: str = "auto"
    near: tuple[str, ...] = ()
    says: str = ""

    @property
    def path(self) -> str:
        return "models/" + self.name.replace(".", "/") + ".sql"

    def text(self, *more: str) -> str:
        return "".join(f"-- @{line}\n" for line in (*self.header, *more)) + self.sql + "\n"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happens between two builds.

    `what` is `sql`: `text` runs in the database; `file`: the file `name` gets the rows of the query `text`; `remove`: it
    goes away; `model`: it becomes `model`; `drop`: the table of a model is dropped behind SQLFlow's back; `forget`: the
    run-state file is deleted.
    """

    what: str
    text: str = ""
    name: str = ""
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Changes, and the build after them.

    `build` is `all`; `some`: of `names` alone; `refresh`: a full refresh of `names`; `fail`: of all, in which a check of
    `names[0]` fails; `twice`: of all, and then a build plans nothing.
    """

    changes: tuple[Change, ...]
    build: str = "all"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`files`: those of the project at the beginning but for models. `inputs`: what the oracle takes for each source."""

    seed: int
    files: Mapping[str, str]
    inputs: Mapping[str, str]
    setup: tuple[Change, ...]
    models: tuple[Model, ...]
    steps: tuple[Step, ...]

    def dumps(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def told(self) -> str:
        """The case as a person reads it."""
        lines = [f"seed {self.seed}"]
        for path, text in self.files.items():
            lines += [f"--- {path}", text.rstrip()]
        for model in self.models:
            lines += [f"--- {model.path}", model.text().rstrip()]
        lines += ["=== before the first build", *(_told(change) for change in self.setup)]
        for number, step in enumerate(self.steps, 1):
            lines.append(f"=== step {number}")
            lines += [_told(change) for change in step.changes]
            lines.append(f"build: {step.build} {' '.join(step.names)}".rstrip())
        return "\n".join(lines)


def _told(change: Change) -> str:
    match change.what:
        case "sql":
            return f"{change.text};"
        case "file":
            return f"{change.name} := {change.text}"
        case "model" if change.model is not None:
            return f"{change.model.path} := {change.model.text().rstrip()}"
        case _:
            return f"{change.what} {change.name}".rstrip()


def loads(text: str) -> Case:
    raw = json.loads(text)
    return Case(
        raw["seed"],
        raw["files"],
        raw["inputs"],
        tuple(_change(c) for c in raw["setup"]),
        tuple(_model(m) for m in raw["models"]),
        tuple(Step(tuple(_change(c) for c in s["changes"]), s["build"], tuple(s["names"])) for s in raw["steps"]),
    )


def _change(raw: Mapping[str, object]) -> Change:
    model = raw["model"]
    return Change(
        str(raw["what"]), str(raw["text"]), str(raw["name"]), _model(model) if isinstance(model, dict) else None
    )


def _model(raw: Mapping[str, object]) -> Model:
    def words(value: object) -> tuple[str, ...]:
        assert isinstance(value, Sequence)
        return tuple(str(word) for word in value)

    says = str(raw.get("says", ""))
    return Model(str(raw["name"]), words(raw["header"]), str(raw["sql"]), str(raw["mode"]), words(raw["near"]), says)
