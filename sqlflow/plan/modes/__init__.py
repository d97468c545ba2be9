"""One file per mode: a promise about a table -> the statements that keep it."""
