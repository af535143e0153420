"""The wheel and the sdist: what is in them, and the main job run from the installed wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

import pytest

from cachestats.version import __version__
from conftest import ROOT, SAMPLE, SEEDS

pytestmark = pytest.mark.slow

STEM = f"cachestats-{__version__}"


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed, without the paths that this process imports from; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sdist, and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def bin_folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the commands of a fresh environment with the wheel, which takes its dependencies from the running one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    # Python searches these folders last and reads no .pth file in them, such as the one of an editable install.
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "borrowed.pth").write_text("\n".join(borrowed))
    found = Path(sysconfig.get_path("scripts", "venv", scheme))
    wheel = dist / f"{STEM}-py3-none-any.whl"
    pip = (sys.executable, "-m", "pip", "--python", found / "python")
    succeed(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    return found


def test_both_pass_the_checks_of_an_index(dist: Path) -> None:
    done = succeed(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *sorted(dist.iterdir()))
    assert done.count("PASSED") == 2


def test_the_readme_as_an_index_shows_it_links_to_files_of_this_version(dist: Path) -> None:
    with zipfile.ZipFile(dist / f"{STEM}-py3-none-any.whl") as wheel:
        shown = message_from_bytes(wheel.read(f"{STEM}.dist-info/METADATA")).get_payload(decode=True).decode()
    links = re.findall(
        r"(!?)\[[^\]]*\]\(([^)\s]+)|(?:src|href)=\"([^\"]+)", re.sub(r"```.*?```", "", shown, flags=re.DOTALL)
    )
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    ours = re.compile(rf"{source}/(blob|raw)/v{re.escape(__version__)}/([^#]*)")
    files = [(is_picture, found) for is_picture, link, html in links if (found := ours.match(link or html))]
    assert len(files) >= 5
    for is_picture, found in files:
        assert (ROOT / found[2]).exists(), found[0]
        assert (found[1] == "raw") == bool(is_picture), found[0]
    elsewhere = [link or html for _, link, html in links if not re.match(r"#|https?:|mailto:", link or html)]
    assert not elsewhere, "pyproject.toml, fancy-pypi-readme: make these absolute, too"


def modules_and_data() -> set[str]:
    """Return all files of the package."""
    files = (path for path in (ROOT / "cachestats").rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_with_its_types_and_templates_and_nothing_else(dist: Path) -> None:
    with zipfile.ZipFile(dist / f"{STEM}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert {
        "cachestats/py.typed",
        "cachestats/report/templates/base.html",
        "cachestats/report/assets/report.js",
        "cachestats/dataset/example_data/manifest.json",
        "cachestats/dataset/example_data/spack.lock",
    } <= names
    about = {name for name in names if name.startswith(f"{STEM}.dist-info/")}
    assert names - about == modules_and_data()
    assert f"{STEM}.dist-info/licenses/LICENSE" in about


def test_the_sdist_holds_what_the_wheel_is_built_from(dist: Path) -> None:
    with tarfile.open(dist / f"{STEM}.tar.gz") as sdist:
        names = {str(PurePosixPath(name).relative_to(STEM)) for name in sdist.getnames()}
    others = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "data/DICTIONARY.md", "pyproject.toml"}
    assert names == modules_and_data() | others | {"PKG-INFO", ".gitignore"}


def test_the_installed_wheel_does_the_main_job(bin_folder: Path, tmp_path: Path) -> None:
    code = "import cachestats, cachestats.cli; print(cachestats.__file__)"
    found = Path(succeed(bin_folder / "python", "-c", code, cwd=tmp_path).strip())
    assert found.is_relative_to(bin_folder.parent), "the package of the repository is not what is tested here"

    example = "import cachestats as cs; print(cs.example_dataset().path)"
    assert Path(succeed(bin_folder / "python", "-c", example, cwd=tmp_path).strip()).is_relative_to(bin_folder.parent)

    cachestats = bin_folder / "cachestats"
    assert __version__ in succeed(cachestats, "--version", cwd=tmp_path)
    assert "coverage" in succeed(cachestats, "--help", cwd=tmp_path)
    assert "develop-2025-05-25" in succeed(cachestats, "info", SAMPLE, cwd=tmp_path)
    succeed(cachestats, "build", SEEDS, "--out", "dataset", cwd=tmp_path)
    counts = succeed(cachestats, "coverage", "dataset", "--rows", "package", "--columns", "target", cwd=tmp_path)
    assert "x86_64_v3" in counts.splitlines()[0]
    succeed(cachestats, "report", SAMPLE, "--out", "report", cwd=tmp_path)
    assert (tmp_path / "report" / "index.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"dataset", "report"}
