"""Where the command line starts, as `cachestats` or `python -m cachestats`."""

import os


def main() -> None:
    """Run the command line."""
    # On import NumPy's linear algebra starts a thread for each core. Nothing here needs it, and it costs more CPU time
    # than reading a thousand pages.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cachestats.cli import main as run

    run()


if __name__ == "__main__":
    main()
