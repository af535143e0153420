"""Pages of every generation, generated."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.site import GENERATIONS, page, spec

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)
known = st.sampled_from(["x86_64_v3", "neoverse_v1", "ubuntu22.04", "1.0", "0.10", "2024-09-26", "master", "57.0"])
some_name = known | names
variants = st.one_of(
    names.map("+{}".format),
    names.map("~{}".format),
    st.builds("{}={}".format, names, names),
    st.builds("{}:={},{}".format, names, names, names),
    st.sampled_from(["patches=0b8a3b8,9c1f2c1", "cflags=-O2 -g", "build_system=cmake", "libs=shared,static,shared"]),
    st.sampled_from(["x=a", "x:=a", "x:=b,a", "x=b,c", "x", "x=", "x:=", "+x", "~x", "x=true", "x:=false", "x::=a"]),
    st.builds(
        "{}={}{}{}".format,
        names,
        st.shared(st.sampled_from("'\""), key="q"),
        names,
        st.shared(st.sampled_from("'\""), key="q"),
    ),
    names,
)
compilers = st.sampled_from(
    ["none", "gcc@=13.2.0", "gcc@13.2.0", "oneapi@=2024.2.1", "clang@=14", "llvm@14", "rocmcc@6", "intel@=2021", "gcc"]
)


@st.composite
def sites(draw: st.DrawFn) -> dict[tuple[str, str], str]:
    """Return pages by (snapshot, package): few names, so that they meet, in any generation."""
    hashes = iter(f"{number:032d}" for number in draw(st.permutations(range(40))))
    pages = {}
    for snapshot in draw(st.sets(st.sampled_from(["develop", "develop-2025-03-09", "v0.23.1", "odd"]), min_size=1)):
        for package in draw(st.sets(st.sampled_from(["zlib", "py-a", "root", "ß-é"]) | names, min_size=1, max_size=3)):
            specs = [
                spec(
                    next(hashes),
                    compiler=draw(compilers),
                    os=draw(some_name),
                    platform=draw(some_name),
                    target=draw(some_name),
                    versions=[draw(some_name)],
                    stacks=draw(st.lists(st.sampled_from(["root", "e4s", "radiuss"]) | names, unique=True, max_size=4)),
                    variants=draw(st.lists(variants, max_size=5)),
                )
                for _ in range(draw(st.integers(0, 3)))
            ]
            pages[snapshot, package] = page(package, snapshot, specs, generation=draw(st.sampled_from(GENERATIONS)))
    return pages
