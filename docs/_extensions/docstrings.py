"""Add to docstrings what the code knows: types of parameters, links to other names, and the pictures of examples.

Names of types become words that a reader knows: the values of a `Literal`, and "frame" for what narwhals takes.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from sphinx.application import Sphinx

import cachestats

WORDS = {
    "Any": "object",
    "Asked": "str or iterable of str",
    "AskedFor": "str or iterable of str",
    "Axes": "matplotlib.axes.Axes",
    "IntoFrame": "frame",
    "Path": "pathlib.Path",
    "Sides": "pair of frames",
    "SpecsLike": "Dataset, Subset or frame",
    "Wanted": "str, None, or iterable of these",
    "os.PathLike": "path",
    "pl.DataFrame": "polars.DataFrame",
    "pl.LazyFrame": "polars.LazyFrame",
}
SECTION = re.compile(r"^(Parameters|Attributes)\n-+$", re.MULTILINE)


def in_words(annotation: str, names: dict[str, Any]) -> str:
    """Return an annotation, as it is written in the code, in words."""
    return _in_words(ast.parse(annotation, mode="eval").body, names)


def _in_words(node: ast.expr, names: dict[str, Any]) -> str:
    match node:
        case ast.Constant(value=None):
            return "None"
        case ast.Constant(value=str() as text):
            return in_words(text, names)
        case ast.BinOp():
            return _joined(list(dict.fromkeys(_in_words(one, names) for one in _alternatives(node))))
        case ast.Subscript(value=value, slice=inner):
            of = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            outer = ast.unparse(value)
            if outer == "os.PathLike":
                return WORDS[outer]
            if outer == "Callable":
                return "callable"
            parts = [_in_words(part, names) for part in of if not _is_ellipsis(part)]
            return f"{outer.lower()} of {' to '.join(parts)}"
        case _:
            name = ast.unparse(node)
            found = names.get(name)
            if get_origin(found) is Literal:
                return f"{{{', '.join(map(repr, get_args(found)))}}}"
            return WORDS.get(name, name)


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left), node.right]
    return [node]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _joined(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def types(of: Callable[..., Any]) -> dict[str, str]:
    """Return the type of each parameter in words, and its default where that says something."""
    names = vars(sys.modules[of.__module__])
    found = {}
    for name, parameter in inspect.signature(of).parameters.items():
        if parameter.annotation is not parameter.empty:
            words = in_words(str(parameter.annotation), names)
            default = parameter.default
            shown = default is not parameter.empty and default is not None
            found[name] = f"{words}, default {default!r}" if shown else words
    return found


def add_types(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Write the types of the parameters into a docstring, before numpydoc reads it."""
    if not callable(of) or (section := SECTION.search("\n".join(lines))) is None:
        return
    found = types(of)
    start = "\n".join(lines)[: section.end()].count("\n") + 1
    for number in range(start, len(lines)):
        line = lines[number]
        if number + 1 < len(lines) and re.match(r"^-+$", lines[number + 1]):
            return
        if line and not line[0].isspace() and " : " not in line:
            of_all = [found[one] for one in re.split(r",\s*", line.replace("*", "")) if one in found]
            if of_all and len(set(of_all)) == 1:
                lines[number] = f"{line} : {of_all[0]}"


def add_links(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Link public names, and the methods of public classes, where a docstring has them as code."""
    own = {name, *inspect.signature(of).parameters} if callable(of) else {name}

    def linked(code: re.Match[str]) -> str:
        words = code[1].removeprefix("cachestats.")
        first, _, method = words.partition(".")
        is_known = first in cachestats.__all__ and (not method or hasattr(getattr(cachestats, first), method))
        return f":py:obj:`~cachestats.{words}`" if is_known and not {words, f"cachestats.{words}"} & own else code[0]

    lines[:] = [re.sub(r"(?<![:`])`([\w.]+)`(?!`)", linked, line) for line in lines]


def draw_examples(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Let the examples of what draws show the picture."""
    if name.startswith("cachestats.plot_") and "Examples" in lines:
        start = lines.index("Examples") + 2
        lines[start:] = [".. plot::", "", *(f"    {line}" for line in lines[start:])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    for change in (add_types, add_links, draw_examples):
        app.connect("autodoc-process-docstring", change, priority=400)  # numpydoc's is 500
    return {"parallel_read_safe": True}
