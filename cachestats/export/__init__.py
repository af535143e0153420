"""What other programs read: a table in one file, the pages of the site, a data package."""
