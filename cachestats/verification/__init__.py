"""Checks that a cache or a dataset is whole: each module makes some of the checks that `checks` declares."""
