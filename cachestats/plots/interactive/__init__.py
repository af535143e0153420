"""Interactive charts: frames in, Altair charts out. They need the extra `interactive`."""
