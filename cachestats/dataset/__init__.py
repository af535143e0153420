"""Datasets on disk: open, read, query in SQL, write and publish them."""
