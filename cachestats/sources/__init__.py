"""Sources of specs: each yields read tasks, of many pages or one index each, which workers carry out."""
