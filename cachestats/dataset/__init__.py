"""A dataset on disk: opened, read, asked in SQL, written and published."""
