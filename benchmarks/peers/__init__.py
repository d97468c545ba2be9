"""SQLFlow beside the other tools that build SQL projects, on the same generated project."""
