"""The version of cachestats."""

__version__ = "0.1.0"
