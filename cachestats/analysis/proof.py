"""Prove that a known difference is complete: a node with the cached values put back has the cached hash.

A hash covers everything in a node, including the hashes of its dependencies. If a dataset does not record a detail
exactly, every form it may have is tried: whether a value is in a list, the features of a target, which flags belong
together, and the order in which patches are applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, permutations, product
from typing import Any

import msgspec

from cachestats.analysis.differences import SETTINGS, SWITCHES, Edge, Spec, split_setting
from cachestats.decode import Decoder, JsonError
from cachestats.hashing import dag_hash
from cachestats.parse.nodes import FLAGS, PATCH_LENGTH
from cachestats.schema import DEPTYPES
from cachestats.spack_releases import page_compiler
from cachestats.targets import node_targets

_MOST_FORMS = 1000  # the number of forms tried for one node
_MOST_ORDERED = 4  # the number of items up to which every order is tried
# The keys of a node in the order in which Spack writes them.
_KEYS = (
    "name", "version", "arch", "compiler", "namespace", "parameters", "external", "patches", "package_hash",
    "provided_virtuals", "dependencies", "annotations",
)  # fmt: skip
_FORMAT_WITH_VIRTUALS = 4
_ABSENT = object()

Node = dict[str, Any]


class Prover:
    """Puts cached values back into the nodes of an environment, which also provide details that a dataset lacks."""

    def __init__(self, nodes: Mapping[str, bytes]) -> None:
        self._json = nodes
        self._nodes: dict[str, Node | None] = {}
        self._targets: dict[str, list[Any]] = {}
        self._recipes: dict[tuple[str, str], list[Any]] = {}
        self._patches: dict[str, str] = {}
        self._is_learned = False

    def is_whole(self, wanted: Spec, cached: Spec) -> bool:
        """Return whether a spec of the environment and a cached one have no differences other than the known ones."""
        node = self._node(wanted.hash)
        if node is None:
            return False
        forms = self._forms(node, wanted, cached)
        return any(dag_hash(form) == cached.hash for form in islice(forms, _MOST_FORMS))

    def _node(self, digest: str) -> Node | None:
        """Return a node, or None if it is in format 1, with which nothing can be proven."""
        if digest not in self._nodes and digest in self._json:
            node = json.loads(self._json[digest])
            is_newer = "name" in node and isinstance(node.get("dependencies", []), list)
            self._nodes[digest] = node if is_newer else None
        return self._nodes.get(digest)

    def _forms(self, node: Node, wanted: Spec, cached: Spec) -> Iterator[Node]:
        """Yield the forms that the cached node may have."""
        changes = self._changes(node, wanted, cached)
        for values in product(*changes.values()):
            form = node | dict(zip(changes, values, strict=True))
            keys = node if form.keys() == node.keys() else (*_KEYS, *node)
            yield {key: form[key] for key in keys if form.get(key, _ABSENT) is not _ABSENT}

    def _changes(self, node: Node, wanted: Spec, cached: Spec) -> dict[str, list[Any]]:
        """Return the possible values of each key of a node that changes."""
        values = _changed_values(wanted, cached)
        changes: dict[str, list[Any]] = {
            key: values[key] for key in ("version", "namespace", "package_hash") if key in values
        }
        if values.keys() & {"platform", "os", "target"}:
            changes["arch"] = [
                dict(zip(("platform", "platform_os", "target"), parts, strict=True))
                for parts in product(
                    values.get("platform", [node["arch"]["platform"]]),
                    values.get("os", [node["arch"]["platform_os"]]),
                    [form for name in values["target"] for form in self._target_forms(name)]
                    if "target" in values
                    else [node["arch"]["target"]],
                )
            ]
        if "compiler" in values and "compiler" in node:
            changes["compiler"] = [*map(_compiler_form, values["compiler"])]
        if values.keys() & {"variants", "flags"}:
            changes |= self._parameter_forms(node, wanted, cached)
        if cached.external:
            module = [*cached.external.modules] or None
            changes["external"] = [(node.get("external") or {}) | {"path": cached.external.prefix, "module": module}]
            if "version" in values:  # and so another recipe, which the dataset does not record for externals
                self._learn()
                known = self._recipes.get((cached.package, cached.external.version), [])
                changes["package_hash"] = [node.get("package_hash", _ABSENT), *known]
        if cached.edges is not None and _identities(cached.edges) != _identities(wanted.edges or ()):
            changes["dependencies"] = [*_dependency_forms(node.get("dependencies", []), cached)]
        return changes

    def _target_forms(self, name: str | None) -> list[Any]:
        """Return the forms of a target in nodes of the environment, followed by those in the current archspec."""
        self._learn()
        forms = [*self._targets.get(name or "", []), *node_targets(name or "")]
        return [form for number, form in enumerate(forms) if form not in forms[:number]]

    def _parameter_forms(self, node: Node, wanted: Spec, cached: Spec) -> dict[str, list[Any]]:
        """Return the possible parameters, and the possible orders in which patches are applied."""
        raw = node.get("parameters", {})
        forms: dict[str, list[Any]] = {}
        for field in ("variants", "flags"):
            mine, other = (split_setting(spec.values.get(field) or "") for spec in (wanted, cached))
            if field not in cached.values:
                other = mine
            names = {name for name in raw if (name in FLAGS) == (field == "flags")}
            for name in names | other.keys():
                if mine.get(name) == other.get(name):
                    forms[name] = [raw.get(name)]
                elif name in other:
                    forms[name] = self._value_forms(name, other[name], raw.get(name))
                elif field == "flags":
                    forms[name] = [[]]
        # Variants come before flags, both sorted by name.
        order = sorted(forms, key=lambda name: (name in FLAGS, name))
        found = [
            dict(zip(order, values, strict=True))
            for values in islice(product(*(forms[name] for name in order)), _MOST_FORMS)
        ]
        changes: dict[str, list[Any]] = {"parameters": found}
        if "patches" in forms and forms["patches"] != [raw.get("patches")]:
            changes["patches"] = [order for patches in forms["patches"] for order in _orders(patches)]
        elif "patches" in raw and "patches" not in forms:
            changes["patches"] = [_ABSENT]
        return changes

    def _value_forms(self, name: str, text: str, raw: Any) -> list[Any]:
        """Return the values that a variant or flag may have, given its printed form and its value in the node."""
        if text.startswith(SWITCHES):
            return [text[0] == "+"]
        value = text.partition("=")[2]
        if name == "patches":
            self._learn()
            patches = [self._patches.get(patch) for patch in value.split(",")]
            return [] if None in patches else [patches]
        parts = value.split(" " if name in FLAGS else ",")
        is_list = name in FLAGS or isinstance(raw, list) or (len(parts) > 1 and not isinstance(raw, str))
        forms: list[Any] = [parts, [value] if name in FLAGS else value]
        return forms if is_list else forms[::-1]

    def _learn(self) -> None:
        """Collect details that a dataset lacks from the environment's nodes: features, recipes, patch checksums."""
        if self._is_learned:
            return
        self._is_learned = True
        for data in self._json.values():
            try:
                node = _decode_told(data)
            except JsonError:
                continue  # a node in format 1, with which nothing can be proven
            target = node.arch.target
            known = self._targets.setdefault(target if isinstance(target, str) else target.get("name", ""), [])
            if target not in known:
                known.append(target)
            self._patches |= {patch[:PATCH_LENGTH]: patch for patch in node.patches}
            recipes = self._recipes.setdefault((node.name, node.version), [])
            if node.package_hash not in (None, *recipes):
                recipes.append(node.package_hash)


class _ToldArch(msgspec.Struct):
    target: str | dict[str, Any]


class _Told(msgspec.Struct):
    """The parts of a node from which details of other nodes are learned."""

    name: str
    version: str
    arch: _ToldArch
    patches: list[str] = []
    package_hash: str | None = None


_decode_told = Decoder(_Told).decode


def _changed_values(wanted: Spec, cached: Spec) -> dict[str, list[str | None]]:
    """Return the values to put back, by field."""
    values = {
        field: [cached.values[field]]
        for field in cached.values.keys() & wanted.values.keys()
        if cached.values[field] != wanted.values[field]
    }
    if cached.external:
        # A dataset does not record the system of an external. Try the supposed system and that of the wanted spec.
        values |= {field: [*values[field], wanted.values[field]] for field in SETTINGS if field in values}
    return values


def _identities(edges: Sequence[Edge]) -> set[tuple[str, frozenset[str], frozenset[str]]]:
    return {(edge.hash, edge.types, edge.virtuals) for edge in edges}


def _compiler_form(compiler: str | None) -> Any:
    """Return a compiler in the form of nodes up to format 4, with the name used at that time."""
    if compiler is None:
        return _ABSENT
    name, _, version = page_compiler(compiler, is_old=True).partition("@=")
    return {"name": name, "version": version}


def _orders(items: list[str]) -> Iterator[list[str]]:
    """Yield every order of a few items, but only the given order of many."""
    if len(items) > _MOST_ORDERED:
        yield items
        return
    yield from map(list, permutations(items))


def _dependency_forms(raw: list[Node], cached: Spec) -> Iterator[Any]:
    """Yield the possible dependencies of the cached node: sorted by name, with those of one name in any order."""
    if not cached.edges:
        yield _ABSENT
        return
    by_name: dict[str, list[Node]] = {}
    for edge in cached.edges:
        by_name.setdefault(edge.package or "", []).append(_raw_edge(edge, raw, cached.spec_format))
    for orders in product(*(_orders_of_edges(by_name[name]) for name in sorted(by_name))):
        yield [edge for order in orders for edge in order]


def _orders_of_edges(edges: list[Node]) -> Iterator[tuple[Node, ...]]:
    return permutations(edges) if len(edges) <= _MOST_ORDERED else iter([tuple(edges)])


def _raw_edge(edge: Edge, raw: list[Node], spec_format: int | None) -> Node:
    """Return an edge in the form of a similar edge in the node, or else in the form that the format prescribes."""
    for one in raw:
        reasons = one.get("parameters", {})
        same_types = edge.types == {*reasons.get("deptypes", one.get("type", []))}
        if one.get("name") == edge.package and same_types and edge.virtuals == {*reasons.get("virtuals", [])}:
            return one | {"hash": edge.hash}
    types = [kind for kind in DEPTYPES if kind in edge.types]
    named = {"name": edge.package, "hash": edge.hash}
    if (spec_format or _FORMAT_WITH_VIRTUALS) < _FORMAT_WITH_VIRTUALS:
        return named | {"type": types}
    return named | {"parameters": {"deptypes": types, "virtuals": sorted(edge.virtuals)}}
