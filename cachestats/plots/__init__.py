"""Pictures of the analyses: a frame goes in, Matplotlib Axes come out."""
