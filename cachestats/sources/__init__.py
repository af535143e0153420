"""Where specs come from: a source yields pages in batches that one worker reads at a time, and indices one by one."""
