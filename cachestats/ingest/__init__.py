"""Turn sources into a dataset: read, assemble each snapshot, check, publish."""
