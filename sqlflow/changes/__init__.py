"""Engine + state + files -> what changed in the tables that models read. The only stage before `runner` that asks
the warehouse about data."""
