"""Spec expressions: what a text says, what is refused and where, and that values and text agree."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestats.errors import ExpressionError
from cachestats.expressions.parse import FLAGS, MAX_CHARACTERS, parse_expression, parse_expressions
from cachestats.expressions.syntax import Dependency, Expression, Flags, Variant, split_flags
from cachestats.schema import DEPTYPES
from cachestats.version_ranges import VersionList

_LETTERS = string.ascii_letters + string.digits + "_"
_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,5}", fullmatch=True)
_KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,5}", fullmatch=True).filter(
    lambda key: key not in {"arch", "architecture", "platform", "os", "operating_system", "target", "namespace", *FLAGS}
)
# Spack cannot write a value in quotes that ends with a backslash.
_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=6).filter(lambda s: s[-1:] != "\\")
_VALUES = _TEXTS.map(lambda text: text.replace(",", "").replace("*", "").strip().removesuffix("\\"))
_VERSION_TEXTS = ["1.14", "=1.14.3", "1.8:1.14", ":2", "3:", "1,=2.0,3:4", "git.main/x", "git.v1=1.2", "a" * 40, "main"]
_VERSIONS = st.sampled_from(_VERSION_TEXTS).map(VersionList.parse)
_FLAG = st.from_regex(r"-[!-~]{1,5}( [!-,.-~]{1,3})?", fullmatch=True).filter(lambda flag: not flag.endswith("\\"))


@st.composite
def _variants(draw: st.DrawFn) -> Variant:
    values = draw(
        st.one_of(
            st.sampled_from([("true",), ("false",), ("*",)]),
            st.sets(_VALUES, min_size=1, max_size=3).map(lambda found: tuple(sorted(found))),
        ).filter(lambda values: values[0].lower() not in {"true", "false"} or values[0].islower())
    )
    is_exact = draw(st.booleans()) and values not in {("true",), ("false",), ("*",)}
    return Variant(draw(_KEYS), values, is_exact, draw(st.booleans()))


def _architecture(draw: st.DrawFn) -> dict[str, Any]:
    parts = st.none() | _VALUES.filter(lambda text: text not in {"", "None"})
    targets = st.lists(st.sampled_from(["x86_64", "x86_64_v2:", ":zen4", "a:b"]), max_size=2).map(tuple)
    return {"platform": draw(parts), "os": draw(parts), "targets": draw(targets)}


@st.composite
def _nodes(draw: st.DrawFn) -> Expression:
    variants = {variant.name: variant for variant in draw(st.lists(_variants(), max_size=3))}
    flags = draw(st.dictionaries(st.sampled_from(sorted(FLAGS)), st.lists(_FLAG, min_size=1, unique=True), max_size=2))
    return Expression(
        name=draw(st.none() | _NAMES),
        namespace=draw(st.none() | _NAMES | st.just("spack_repo.builtin") | _TEXTS),
        versions=draw(st.none() | _VERSIONS),
        variants=tuple(variants[name] for name in sorted(variants)),
        flags=tuple(Flags(name, tuple(flags[name]), draw(st.booleans())) for name in sorted(flags)),
        **_architecture(draw),
        hash_prefix=draw(st.none() | st.text(_LETTERS, min_size=1, max_size=8)),
    )


def _expressions(depth: int = 1) -> st.SearchStrategy[Expression]:
    def dependencies(nodes: st.SearchStrategy[Expression], *, is_direct: bool) -> st.SearchStrategy[Dependency]:
        return st.builds(
            Dependency,
            nodes,
            st.just(is_direct),
            st.booleans() if is_direct else st.just(False),
            st.sets(_NAMES, max_size=2).map(lambda names: tuple(sorted(names))),
            st.lists(st.sampled_from(DEPTYPES), unique=True, max_size=2).map(tuple),
            st.none() | _expressions(depth - 1) if depth else st.none(),
        )

    def with_dependencies(node: Expression, found: list[Dependency]) -> Expression:
        return replace(node, dependencies=tuple(found))

    direct = st.lists(dependencies(_nodes(), is_direct=True), max_size=2)
    below = dependencies(st.builds(with_dependencies, _nodes(), direct), is_direct=False)
    return st.builds(
        lambda node, one, two: with_dependencies(node, one + two), _nodes(), direct, st.lists(below, max_size=2)
    )


@pytest.mark.slow
@given(_expressions())
def test_an_expression_as_text_says_the_same(expression: Expression) -> None:
    assert parse_expression(str(expression)) == expression
    assert str(parse_expression(str(expression))) == str(expression)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("hdf5 +mpi -hl @1.14", "hdf5@1.14~hl+mpi"),  # conditions in any order
        ("hdf5-mpi", "hdf5-mpi"),  # without a space before it, a minus belongs to the name
        ("hdf5@ 1.8 , =1.10", "hdf5@1.8,=1.10"),
        ("hdf5@1.14:build_type=Release", "hdf5@1.14: build_type=Release"),  # a word before '=' is no version
        ("x debug=True fast:=FALSE", "x+debug~fast"),
        ("x v:=b,a,b", "x v:=a,b"),
        ("x v:=*", "x v=*"),
        ("x v='a , b'", "x v=a,b"),
        ("x v==a ++b ~~c --d", "x++b~~c~~d v==a"),
        ("x v===a", "x v=='=a'"),
        ("x v==", "x v='='"),
        ("x arch=linux-rhel9-zen4", "x platform=linux os=rhel9 target=zen4"),
        ("x architecture=zen4 operating_system=rhel9", "x os=rhel9 target=zen4"),
        ("x arch=None-None-zen4", "x target=zen4"),
        ("x cflags=-O3 cflags='-g -O3'", "x cflags='-O3 -g'"),  # flags add up
        ("x cflags=''", "x"),
        ("x cflags='-I /usr -g'", "x cflags='-I /usr -g'"),
        ("builtin.x", "builtin.x"),
        ("x namespace=a.b", "a.b.x"),
        ("namespace=a", "namespace=a"),
        ("/abc", "/abc"),
        ("*", "*"),
        ("* +x", "+x"),
        ("^mpich %gcc ^zlib %clang", "* ^mpich %gcc ^zlib %clang"),
        ("x %c,cxx=gcc@12", "x %[virtuals=c,cxx] gcc@12"),
        ("x ^[virtuals=mpi] blas=builtin.mkl", "x ^[virtuals=blas,mpi] builtin.mkl"),
        ("x %% gcc", "x %%gcc"),
        ("x %[when='+mpi ^[virtuals=mpi] mpich'] gcc", None),
        ("x ^* target=zen4", "x ^* target=zen4"),  # without the star, `target` would be a virtual package
        ("x ^target=zen4", "x ^[virtuals=target] zen4"),
        ("x v='a\\'b'", 'x v="a\'b"'),
        ("x v=a%b^c~d", "x v=a%b^c~d"),
    ],
)
def test_a_text_is_read_as_spack_reads_it(text: str, same: str | None) -> None:
    if same is None:
        found = parse_expressions(text)
        assert parse_expressions(" ".join(map(str, found))) == found
    else:
        assert [*map(str, parse_expressions(text))] == [same.removeprefix("* ") if same.startswith("* ^") else same]


def test_the_sigils_say_what_a_condition_is_about() -> None:
    root = parse_expression("x %gcc@12 +a ^y +b %clang +c ^z")
    gcc, y, z = root.dependencies
    assert (root.variants, gcc.is_direct, y.is_direct) == ((), True, False)
    assert [str(gcc.expression), str(y.expression), str(z.expression)] == ["gcc@12+a", "y+b %clang+c", "z"]


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "a spec"),
        (" \n", 0, "a spec"),
        ("hdf5@", 4, "a version after '@'"),
        ("hdf5@,1", 4, "a version after '@'"),
        ("hdf5@1:2:3", 8, "a spec"),
        ("hdf5@1,,2", 6, "a spec"),
        ("hdf5@1.14 @1.12", 10, "one list of versions"),
        ("hdf5@2:1", 4, "a range from a lower to a higher version"),
        ("hdf5 +", 5, "the name of a variant after '+'"),
        ("hdf5 ~ -", 5, "the name of a variant after '~'"),
        ("hdf5 +mpi ~mpi", 10, "the variant mpi once"),
        ("hdf5 v=a v=b", 9, "the variant v once"),
        ("hdf5 v=a,*", 5, "'*' alone"),
        ("hdf5 +target", 5, "a value for target"),
        ("hdf5 ~cflags", 5, "a value for cflags"),
        ("hdf5 v=", 5, "a value after 'v='"),
        ("hdf5 cflags='-O3 -g", 5, "a value after 'cflags='"),
        ("hdf5 v = a", 5, "the end"),
        ("hdf5 'v=a'", 5, "a quote at the end of the value"),
        ("hdf5 os=a os=b", 10, "os once"),
        ("hdf5 arch=linux-rhel9-zen4 target=zen3", 27, "target once"),
        ("hdf5 arch==zen3", 5, "'=' after arch"),
        ("hdf5 namespace=a namespace=b", 17, "namespace once"),
        ("a.hdf5 namespace=b", 7, "namespace once"),
        ("hdf5 zlib", 5, "the end"),
        ("hdf5 /abc /def", 10, "the end"),
        ("hdf5 /", 5, "the first characters of a hash"),
        ("hdf5 ^", 5, "a spec after '^'"),
        ("hdf5 %% ^zlib", 5, "a spec after '%%'"),
        ("hdf5 ^[virtuals=mpi]", 19, "a spec after ']'"),
        ("hdf5 ^[virtuals=mpi mpich", 20, "']'"),
        ("hdf5 ^[virtuals==mpi] mpich", 7, "'=' after virtuals"),
        ("hdf5 ^[+a] mpich", 7, "']'"),
        ("hdf5 ^[virtual=mpi] mpich", 7, "virtuals, deptypes or when"),
        ("hdf5 ^[deptypes=build,lnik] mpich", 7, "build, link, run or test as deptypes"),
        ("hdf5 ^[when='+'] mpich", 7, "a spec as 'when'"),
        ("hdf5 ^[when='a b'] mpich", 7, "a spec as 'when'"),
        ("hdf5 ]", 5, "the end"),
        ("hdf5 ./spec.json", 5, "the end"),
        ("./spec.json", 0, "a spec"),
        ("hdf5\0", 4, "a spec"),
        ("hdf5 \x1b[31m", 5, "a spec"),
        ("hdf5\ud800", 4, "a spec"),
        ("hdf5é", 4, "a spec"),
        ("hdf5 +mpi;ls", 9, "a spec"),
        ("x" * (MAX_CHARACTERS + 1), MAX_CHARACTERS, "at most 10,000 characters"),
        ("^x " * 10_000, MAX_CHARACTERS, "at most 10,000 characters"),
    ],
)
def test_what_spack_refuses_is_refused_at_the_same_place(text: str, position: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as found:
        parse_expression(text)
    assert found.value.position == position
    assert f"expected {expected}" in found.value.message
    assert found.value.hint
    assert len(found.value.message) < 500
    shown = found.value.message.splitlines()
    assert shown[-1].index("^") - 2 <= 60
    assert all(line.isprintable() for line in shown)


def test_conditions_nest_as_deep_as_a_text_can_be_long() -> None:
    expression = parse_expression("+a")
    while len(str(expression)) < MAX_CHARACTERS // 4:
        expression = Expression(dependencies=(Dependency(Expression(name="x"), False, when=expression),))
    assert parse_expression(str(expression)) == expression


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "@1",
            "@1:",
            "1:",
            ",",
            "@1,",
            "@1-",
            "a",
            "a-",
            "a.",
            "a,",
            "a=",
            "a='",
            'a="',
            "a='\\'",
            "'",
            "\\",
            "+a",
            "+",
            "-",
        ),
        *(
            "/",
            "/a",
            "a/b",
            "./",
            "%a",
            "^a",
            "^a,",
            "^ ",
            "%[",
            "^[a=b ",
            "] ",
            "] a",
            " ",
            "\t",
            "a ",
            "a:=",
            "==",
            "*",
            "git.",
        ),
        *("^[when='", "a=b ", "cflags=-a ", "@git.a/", "0", "~~", "a=b,"),
    ],
)
@pytest.mark.parametrize("start", ["", "x", "x@", "x@1:", "x v='", "x ^", "x ^[when="])
def test_long_texts_are_read_to_their_end(start: str, piece: str) -> None:
    text = (start + piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    for parse in (parse_expression, parse_expressions):
        try:
            parse(text)
        except ExpressionError as error:
            assert len(error.message) < 500  # noqa: PT017 (it may also be read)


@given(st.text(max_size=30), st.text("x@1.:,=+~-%^[] '\"/*\\\n", max_size=30))
def test_any_text_is_an_expression_or_refused(text: str, other: str) -> None:
    for candidate in (text, other, f"hdf5{other}"):
        try:
            found = parse_expressions(candidate)
        except ExpressionError as error:
            assert 0 <= error.position <= len(candidate)  # noqa: PT017
        else:
            if not re.search(r"\\['\"]", candidate):
                assert [parse_expression(str(one)) for one in found] == found


def test_flags_keep_their_values() -> None:
    assert split_flags("a -b c d --e") == ("a", "-b c d", "--e")
