"""Charts of the analyses: each function takes a frame and returns Matplotlib Axes."""
