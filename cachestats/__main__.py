"""The entry point of the command line, `cachestats` or `python -m cachestats`."""

import atexit
import gc
import os
import sys


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    # When it ends, Python looks for garbage in all that was ever imported, which takes a fifth of the CPU time of a
    # small question. Of what is frozen it does not: the memory goes back to the system anyway.
    atexit.register(gc.freeze)
    # Arrow's own allocators keep most freed memory: they take half as much memory again, without saving time.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # On import, NumPy's linear algebra library starts a thread for each core. They are not needed here, and cost more
    # CPU time than reading a thousand pages.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # By default, the garbage collector would keep going through a build's inputs, none of which is garbage.
    gc.set_threshold(100_000)
    try:
        from cachestats.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def _open_closed_streams() -> None:
    """Open stdin, stdout and stderr if they are closed: otherwise, the next files to be opened would take their place.

    A log line or a panic would then be written into a data file. Messages to stderr are lost; writing to stdout remains
    an error, because its file is open for reading only.
    """
    for descriptor, name, mode, flags in (
        (0, "stdin", "r", os.O_RDONLY),
        (1, "stdout", "w", os.O_RDONLY),
        (2, "stderr", "w", os.O_WRONLY),
    ):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # this is the lowest free number
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
