"""Checks: what an author demands of rows -> SQL that counts and shows the rows that fail."""
