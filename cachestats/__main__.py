"""Where the command line starts, as `cachestats` or `python -m cachestats`."""

import os
import sys


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    # Arrow's own allocators keep most of what was freed: half as much memory again, for no gain in time.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # On import NumPy's linear algebra starts a thread for each core. Nothing here needs it, and it costs more CPU time
    # than reading a thousand pages.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from cachestats.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def _open_closed_streams() -> None:
    """Open stdin, stdout and stderr where they are closed: else the next files that are opened would take their place.

    A log line or a panic would then be written into a file of data. Words to stderr are lost; to write to stdout stays
    an error, as its file is open for reading only.
    """
    for descriptor, name, mode, flags in (
        (0, "stdin", "r", os.O_RDONLY),
        (1, "stdout", "w", os.O_RDONLY),
        (2, "stderr", "w", os.O_WRONLY),
    ):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest number that is free is this one
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
