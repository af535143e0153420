"""From sources to a dataset: read, assemble each snapshot, check, publish."""
