"""Exports for other programs: a table in one file, the pages of the site, a data package."""
