"""A query in the SQL of its author -> the same query in the SQL of the target: by rules, or not at all."""
