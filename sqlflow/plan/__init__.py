"""Compiled models + records + inputs -> plan. Pure: nothing here reads a file or asks a database."""
