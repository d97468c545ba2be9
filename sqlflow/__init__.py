"""SQLFlow: plain SQL models to trustworthy tables."""

__version__ = "0.1.0"
