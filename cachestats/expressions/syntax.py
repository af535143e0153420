"""What a spec expression says: values that `parse` makes from text, and whose text parses to the same values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cachestats.schema import DepType
from cachestats.version_ranges import VersionList

ANONYMOUS = "*"
"""What stands for any package where an expression would otherwise be empty, or be read as something else."""
ANY_VALUE = "*"
BARE_CHARACTERS = r"[A-Za-z0-9_+*.,:=%^~/\\-]"
"""The characters of a value that needs no quotes."""

_TRUE, _FALSE = ("true",), ("false",)
_DOTTED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_BARE = re.compile(rf"(?!=){BARE_CHARACTERS}+")


@dataclass(frozen=True)
class Variant:
    """A condition on a variant: it has all of some values, or no others.

    Attributes
    ----------
    name : str
        Name of the variant.
    values : tuple of str
        Values that it must have, sorted; `true` for `+name` and `false` for `~name`; `*` stands for any.
    is_exact : bool
        Whether it must have no other values, as in `name:=a,b`.
    is_propagated : bool
        Whether it concerns every dependency that has the variant too, as in `++name` and `name==a`. The spec itself
        need not have it then.
    """

    name: str
    values: tuple[str, ...]
    is_exact: bool = False
    is_propagated: bool = False

    def __str__(self) -> str:
        if self.values in (_TRUE, _FALSE):
            sign = "+" if self.values == _TRUE else "~"
            return f"{sign * (2 if self.is_propagated else 1)}{self.name}"
        sign = f"{':' * self.is_exact}{'=' * (2 if self.is_propagated else 1)}"
        return f"{self.name}{sign}{quoted(','.join(self.values))}"

    def includes(self, values: frozenset[str]) -> bool:
        """Return whether a variant with these values fulfils the condition."""
        if ANY_VALUE in self.values:
            return True
        if self.name == "patches":  # of the checksums, tables have the first characters; an expression may have fewer
            return all(any(one.startswith(wanted[: len(one)]) for one in values) for wanted in self.values) and (
                not self.is_exact or len(values) == len(self.values)
            )
        return values == {*self.values} if self.is_exact else values >= {*self.values}


@dataclass(frozen=True)
class Flags:
    """A condition on compiler flags of one kind: a spec has all of these, as in `cflags='-O3 -g'`."""

    name: str
    flags: tuple[str, ...]
    is_propagated: bool = False

    def __str__(self) -> str:
        return f"{self.name}{'=' * (2 if self.is_propagated else 1)}{quoted(' '.join(self.flags))}"


@dataclass(frozen=True)
class Dependency:
    """A condition on dependencies: one of them satisfies an expression.

    Attributes
    ----------
    expression : Expression
        The condition on the dependency itself.
    is_direct : bool
        Whether it must be a direct dependency (`%`) or may be anywhere below (`^`).
    is_propagated : bool
        Whether it is written with `%%`, which asks Spack to prefer it for all dependencies too.
    virtuals : tuple of str
        Virtual packages that it must provide, sorted, as in `%c,cxx=gcc`.
    deptypes : tuple of str
        Types that the dependency must have, as in `^[deptypes=build] cmake`.
    when : Expression, optional
        The condition holds only for specs that satisfy this, as in `%[when=+mpi] mpich`; None for all.
    """

    expression: Expression
    is_direct: bool
    is_propagated: bool = False
    virtuals: tuple[str, ...] = ()
    deptypes: tuple[DepType, ...] = ()
    when: Expression | None = None

    def __str__(self) -> str:
        sigil = ("%%" if self.is_propagated else "%") if self.is_direct else "^"
        keys = {"virtuals": ",".join(self.virtuals), "deptypes": ",".join(self.deptypes)}
        keys["when"] = "" if self.when is None else str(self.when)
        properties = " ".join(f"{key}={quoted(value)}" for key, value in keys.items() if value)
        node = str(self.expression)
        # A key right after the sigil would be read as a virtual package, as in `%c=gcc`.
        star = "" if self.expression.name or node[0] in "@+~/*" else f"{ANONYMOUS} "
        return f"{sigil}{f'[{properties}] ' if properties else ''}{star}{node}"


@dataclass(frozen=True)
class Expression:
    """The conditions that a spec must fulfil, as in `hdf5@1.14:+mpi %gcc ^mpich`.

    Attributes
    ----------
    name, namespace : str, optional
        Package, or virtual package, and the package repository of its recipe; None for any.
    versions : VersionList, optional
        Versions; None for any.
    variants : tuple of Variant
        Conditions on variants, sorted by name.
    flags : tuple of Flags
        Conditions on compiler flags, sorted by name.
    platform, os : str, optional
        Platform and operating system; None for any.
    targets : tuple of str
        Targets and ranges of targets, such as `x86_64_v2:`, of which a spec must be in one; empty for any.
    hash_prefix : str, optional
        The first characters of the DAG hash.
    dependencies : tuple of Dependency
        Conditions on dependencies, in the order in which they were written, those with `%` first.

    Examples
    --------
    >>> from cachestats.expressions.parse import parse_expression
    >>> expression = parse_expression("hdf5 +mpi@1.14: %gcc@12 ^mpich")
    >>> expression.name, str(expression.versions), str(expression.variants[0])
    ('hdf5', '1.14:', '+mpi')
    >>> str(expression)
    'hdf5@1.14:+mpi %gcc@12 ^mpich'
    """

    name: str | None = None
    namespace: str | None = None
    versions: VersionList | None = None
    variants: tuple[Variant, ...] = ()
    flags: tuple[Flags, ...] = ()
    platform: str | None = None
    os: str | None = None
    targets: tuple[str, ...] = ()
    hash_prefix: str | None = None
    dependencies: tuple[Dependency, ...] = ()

    def __str__(self) -> str:
        switches = [str(variant) for variant in self.variants if variant.values in (_TRUE, _FALSE)]
        others = [str(variant) for variant in self.variants if variant.values not in (_TRUE, _FALSE)]
        qualified = self.name is not None and self.namespace is not None and _DOTTED.fullmatch(self.namespace)
        head = (f"{self.namespace}." if qualified else "") + (self.name or "")
        head += f"@{self.versions}" * (self.versions is not None) + "".join(switches)
        keys = {"namespace": None if qualified else self.namespace, "platform": self.platform, "os": self.os}
        keys["target"] = ",".join(self.targets) or None
        parts = [
            head,
            *others,
            *map(str, self.flags),
            *(f"{key}={quoted(value)}" for key, value in keys.items() if value is not None),
            *([f"/{self.hash_prefix}"] if self.hash_prefix is not None else []),
        ]
        return " ".join([*filter(None, parts), *map(str, self.dependencies)]) or ANONYMOUS


def split_flags(text: str) -> tuple[str, ...]:
    """Return single compiler flags, each with its value; `tokenize_flags` of Spack's compilers/flags.py does the same.

    Examples
    --------
    >>> from cachestats.expressions.syntax import split_flags
    >>> split_flags("-O3 -isystem /opt/include")
    ('-O3', '-isystem /opt/include')
    """
    flags: list[str] = []
    for word in text.split():
        if flags and not word.startswith("-"):
            flags[-1] += f" {word}"
        else:
            flags.append(word)
    return tuple(flags)


def quoted(value: str) -> str:
    """Return a value of a key as it can be written in an expression, in quotes if it needs them.

    Spack's syntax has no way to write a value that needs quotes and ends with a backslash.
    """
    if _BARE.fullmatch(value):
        return value
    quote = '"' if "'" in value else "'"
    escaped = value.replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"
