"""Settings for servers and object stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cachestats.errors import ArgumentError


@dataclass(frozen=True)
class Network:
    """Settings for servers and object stores.

    Parameters
    ----------
    timeout, retries, allow_hosts, signed, on_bytes
        The attributes.

    Attributes
    ----------
    timeout : float
        Seconds to wait for an answer, and for each further part of it.
    retries : int
        Number of retries, after pauses that double, when a server is busy or a connection breaks.
    allow_hosts : tuple of str
        Hosts that servers may redirect to, and that catalogues may refer to, in addition to their own.
    signed : bool
        Whether to sign requests to S3 with the credentials that AWS's tools would find; otherwise they are anonymous.
    on_bytes : callable, optional
        Called with the number of bytes of each chunk that arrives, from any thread.

    Raises
    ------
    ArgumentError
        If `timeout` is not above 0, `retries` is negative, or `allow_hosts` is not a tuple.

    Examples
    --------
    The settings are for `build_dataset` and other functions that read from servers:

    >>> import cachestats as cs
    >>> network = cs.Network(timeout=10, retries=2, allow_hosts=("mirror.example.org",))
    >>> network.signed
    False
    """

    timeout: float = 60.0
    retries: int = 5
    allow_hosts: tuple[str, ...] = ()
    signed: bool = False
    on_bytes: Callable[[int], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        hosts: object = self.allow_hosts
        if self.timeout <= 0 or self.retries < 0 or isinstance(hosts, str):
            raise ArgumentError(
                f"expected a timeout above 0, 0 or more retries and hosts as a tuple, found {self.timeout}, "
                f"{self.retries} and {self.allow_hosts!r}",
                hint="such as Network(timeout=60, retries=5, allow_hosts=('example.org',))",
            )
