"""Addresses, versions, recipes, workflows and forms agree with pyproject.toml, and a release is what its tag says."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from cachestats.version import __version__
from conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
URLS = PROJECT["urls"]
CITATION = ROOT / "CITATION.cff"
CONDA = ROOT / "packaging" / "conda" / "recipe.yaml"
SPACK = ROOT / "packaging" / "spack" / "package.py"
GITHUB = ROOT / ".github"
SCHEMAS = {
    CITATION: "citation-file-format",
    **dict.fromkeys(sorted((GITHUB / "workflows").glob("*.yml")), "github-workflows"),
    **dict.fromkeys(sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")), "github-issue-forms"),
    GITHUB / "ISSUE_TEMPLATE" / "config.yml": "github-issue-config",
}


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the files of the repository that may name its addresses, and what they say."""
    for folder in (ROOT, *(ROOT / name for name in ("cachestats", "docs", "jobs", "packaging", ".github"))):
        for path in folder.glob("*") if folder == ROOT else folder.rglob("*"):
            if path.suffix in {".cff", ".html", ".md", ".py", ".toml", ".yaml", ".yml"} and "_build" not in path.parts:
                yield path, path.read_text()


def test_the_addresses_are_those_of_pyproject() -> None:
    right = re.compile("|".join(rf"{re.escape(URLS[name])}(?![\w-])" for name in ("Source", "Documentation")))
    ours = re.compile(r"https?://(?:[\w.]*github[\w.]*/\S*cachestats|cachestats\.)[^\s<>\"'`)]*")
    found = {path: ours.findall(text) for path, text in texts()}
    assert [(path, one) for path, some in found.items() for one in some if not right.match(one)] == []
    silent = [path for path in (CITATION, CONDA, SPACK, GITHUB / "ISSUE_TEMPLATE" / "config.yml") if not found[path]]
    assert not silent


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_file_is_what_its_schema_allows(path: Path) -> None:
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{SCHEMAS[path]}", str(path)])
    assert done.exit_code == 0, done.output


def test_only_the_job_that_publishes_can_prove_who_it_is() -> None:
    release = yaml.safe_load((GITHUB / "workflows" / "release.yml").read_text())
    assert release["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in release["jobs"].items() if "permissions" in job}
    assert rights == {"publish": {"id-token": "write"}, "attach": {"contents": "write"}}


def test_the_versions_are_the_same_everywhere() -> None:
    assert yaml.safe_load(CITATION.read_text())["version"] == __version__
    assert yaml.safe_load(CONDA.read_text())["context"]["version"] == __version__
    assert f'version("{__version__}", tag="v{__version__}")' in SPACK.read_text()


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={classifiers[0]}"
    for name, job in (("ci", "test"), ("release", "test")):
        workflow = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
        assert workflow["jobs"][job]["strategy"]["matrix"]["python"] == classifiers
    assert yaml.safe_load(CONDA.read_text())["context"]["python_min"] == classifiers[0]
    assert ("run", f"python@{classifiers[0]}:") in spack_dependencies()


def requirements() -> dict[str, list[tuple[str, str, str]]]:
    """Return the dependencies of pyproject.toml as (name, lower bound, bound above or nothing), by what needs them."""
    groups = {
        "build": PYPROJECT["build-system"]["requires"],
        "run": PROJECT["dependencies"],
        **PROJECT["optional-dependencies"],
    }
    form = re.compile(r"([\w-]+)>=([\d.]+)(?:,<(\d+))?")
    found = {group: [form.fullmatch(line) for line in lines] for group, lines in groups.items()}
    assert all(all(matches) for matches in found.values()), "a requirement of another form: teach it to this test"
    return {group: [match.groups("") for match in matches if match] for group, matches in found.items()}


def test_the_conda_recipe_has_the_dependencies_of_pyproject() -> None:
    names = {"matplotlib": "matplotlib-base"}  # without the widgets of Qt
    only_with_an_extra = {"pandas"}  # its upper bound is Spark's, and would hold for everybody

    def expected(*groups: str) -> set[str]:
        found = (one for group in groups for one in requirements()[group] if one[0] not in only_with_an_extra)
        return {f"{names.get(name, name)} >={lowest}" for name, lowest, _ in found}

    recipe = yaml.safe_load(CONDA.read_text())["requirements"]
    assert {*recipe["host"]} == expected("build") | {"pip", "python ${{ python_min }}.*"}
    assert {*recipe["run"]} == expected("run") | {"python >=${{ python_min }}"}
    assert {*recipe["run_constraints"]} == expected(*PROJECT["optional-dependencies"])


def spack_dependencies() -> set[tuple[str, str]]:
    """Return what the Spack recipe depends on, each with what needs it: the build, the run, or a variant."""

    def walk(body: list[ast.stmt], group: str) -> Iterator[tuple[str, str]]:
        for node in body:
            match node:
                case ast.With(items=[ast.withitem(ast.Call(func=ast.Name("when"), args=[ast.Constant(variant)]))]):
                    yield from walk(node.body, variant.removeprefix("+"))
                case ast.With(body=inner) | ast.ClassDef(body=inner):
                    yield from walk(inner, group)
                case ast.Expr(ast.Call(func=ast.Name("depends_on"), args=[ast.Constant(spec)], keywords=words)):
                    yield "build" if [*map(ast.unparse, words)] == ["type='build'"] else group, spec

    return {*walk(ast.parse(SPACK.read_text()).body, "run")}


def test_the_spack_recipe_has_the_dependencies_of_pyproject() -> None:
    expected = {
        (group, f"py-{name}@{lowest}:{int(above) - 1 if above else ''}")
        for group, found in requirements().items()
        for name, lowest, above in found
    }
    assert {one for one in spack_dependencies() if one[1].startswith("py-")} == expected
    variants = re.findall(r'variant\("(\w+)"', SPACK.read_text())
    assert variants == [*PROJECT["optional-dependencies"]]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return packaging/release.py, at work on a copy of what it reads: a release with a date, built in `dist`."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "packaging" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path in (ROOT / "cachestats" / "version.py", CONDA, SPACK):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## {__version__} (2026-12-01)\n\n- New.\n\n## 0.0.1 (2026-01-01)\n\n- Old.\n"
    )
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / f"cachestats-{__version__}.tar.gz").write_bytes(b"sdist")
    (tmp_path / "dist" / f"cachestats-{__version__}-py3-none-any.whl").write_bytes(b"wheel")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return module


def test_a_release_has_its_notes_and_recipes_of_the_files_and_the_commit_that_were_built(release: ModuleType) -> None:
    release.main(f"v{__version__}", "c" * 40, Path("dist"), Path("out"))
    assert Path("out/notes.md").read_text() == "- New.\n"
    recipe = yaml.safe_load(Path("out/recipe.yaml").read_text())
    assert recipe["source"]["sha256"] == hashlib.sha256(b"sdist").hexdigest()
    assert f'version("{__version__}", tag="v{__version__}", commit="{"c" * 40}")' in Path("out/package.py").read_text()


def test_a_release_is_refused_where_tag_version_files_and_changelog_disagree(release: ModuleType) -> None:
    tag = f"v{__version__}"
    with pytest.raises(SystemExit, match=rf"expected the tag {tag}, .*found v9\.9"):
        release.main("v9.9", "c" * 40, Path("dist"), Path("out"))
    Path("dist/cachestats-0.0.1.tar.gz").touch()
    with pytest.raises(SystemExit, match=r"dist: expected .*found .*cachestats-0\.0\.1\.tar\.gz"):
        release.main(tag, "c" * 40, Path("dist"), Path("out"))
    Path("dist/cachestats-0.0.1.tar.gz").unlink()
    Path("CHANGELOG.md").write_text(f"# Changelog\n\n## {__version__} (unreleased)\n\n- New.\n")
    with pytest.raises(SystemExit, match=r"CHANGELOG\.md: expected a heading"):
        release.main(tag, "c" * 40, Path("dist"), Path("out"))
    assert not Path("out").exists()
