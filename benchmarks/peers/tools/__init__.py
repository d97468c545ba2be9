"""One module for each tool; a tool that is in `TOOLS` is measured."""

from benchmarks.peers.tool import Tool
from benchmarks.peers.tools import dbt, lea, plain, sqlflow, sqlmesh

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (sqlflow.TOOL, dbt.V2, dbt.CORE, sqlmesh.TOOL, lea.TOOL, plain.ON_DUCKDB_2, plain.ON_DUCKDB_1)
}
