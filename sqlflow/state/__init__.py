"""Where records are kept: the run-state file, the commit record in the warehouse, and the lock of a build."""
