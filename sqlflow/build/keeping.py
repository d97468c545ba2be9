"""What the compile cache keeps of a project, to give it the next time."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlflow.compiler.compile import Judged
from sqlflow.core.cache import Cache
from sqlflow.core.graph import ModelGraph
from sqlflow.core.known import KnownModel, KnownProject, Parsed, Settings
from sqlflow.core.later import Later
from sqlflow.core.names import TableName
from sqlflow.graph.link import Linked
from sqlflow.project.read import Read, Texts, keeps_values


def keep_compiled(
    cache: Cache,
    settings: Settings,
    texts: Texts,
    read: Read,
    parsed: Mapping[TableName, Later[Parsed]],
    linked: Linked,
    judged: Judged,
    known: KnownProject | None,
) -> None:
    """Have the cache give this project the next time, in which there is no error, with the warnings about its models."""
    project = read.project
    models: dict[str, KnownModel] = {}
    unlike = _other_rows(known, linked.graph)
    for model in project.models:
        path, name = str(model.file.path), model.name
        before = known.models.get(path) if known is not None else None
        compiled = judged.compiled.models.get(name)
        if not keeps_values(model):
            continue
        if before is not None and before.compiled.model is model and (compiled is None or compiled is before.compiled):
            if name not in unlike or compiled is not None:
                models[path] = before
            continue
        if compiled is None:
            continue
        models[path] = KnownModel(
            digest=texts.models[path].digest,
            parsed=parsed[name],
            linked=linked.by_model[name],
            columns=judged.columns[name],
            key=judged.keys[name],
            compiled=compiled,
            said=read.warnings.get(path, ()),
            told=judged.told.get(name, ()),
        )
    disabled = {path: texts.models[path].digest for _, path in project.disabled}
    cache.keep(KnownProject(settings, models, disabled, linked.digest, linked.graph))


def _other_rows(known: KnownProject | None, graph: ModelGraph) -> Collection[TableName]:
    """The models that read otherwise than they did: what was not judged now, for nobody asked for it, may be out of date."""
    if known is None or known.graph is graph:
        return ()
    before = {reader.name: reader for reader in known.graph.readers}
    return {reader.name for reader in graph.readers if before.get(reader.name) != reader}
