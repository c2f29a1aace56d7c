"""What a release is made of: the wheel's and the archive's files, equal bytes, the bill of materials, the audit."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import zipfile
from datetime import date
from email.parser import HeaderParser
from pathlib import Path

import pytest

from infra.docker.context import context_files, copy_context
from infra.release.audit import Found, read_allowed, read_answer, refused, report
from infra.release.build import build, write_checksums
from infra.release.locks import ROOT, project
from infra.release.sbom import write_sbom
from schemas.errors import ConfigError

PACKAGES = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
HERE_ALONE = ("infra/locks/", "infra/docker/", "infra/compose/", "infra/kubernetes/", "infra/release/")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive of the working copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    copy_context(ROOT, source)
    build(source, out, 1_800_000_000)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(built.glob("*.whl")))


def test_the_wheel_has_every_module_and_what_modules_read(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = {
        file for file in context_files(ROOT) if file.split("/")[0] in PACKAGES and not file.startswith(HERE_ALONE)
    }
    assert wanted <= names
    assert {"pipelines/report/template.html.j2", "language_models/prices.toml", "infra/runs/sample.toml"} <= names
    assert {"infra/sample/items.csv", "infra/sample/interactions.parquet", "pipelines/ui/static/page.css"} <= names


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        assert not name.startswith(HERE_ALONE), name
        assert name.split("/")[0] in {*PACKAGES, f"loregraph-{project()['project']['version']}.dist-info"}


def test_the_metadata_is_the_projects(wheel: zipfile.ZipFile) -> None:
    folder = f"loregraph-{project()['project']['version']}.dist-info"
    about = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert (about["Name"], about["Version"]) == ("loregraph", project()["project"]["version"])
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Description-Content-Type"] == "text/markdown"
    assert set(about.get_all("Provides-Extra", [])) == set(project()["project"]["optional-dependencies"])
    assert "loregraph = pipelines.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()


def test_the_same_tree_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    copy_context(ROOT, again)
    for old in build(again, tmp_path / "dist", 1_800_000_000):
        assert old.read_bytes() == (built / old.name).read_bytes(), old.name


def test_the_archive_has_what_a_build_needs_and_no_working_files(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "pipelines/cli.py", "infra/locks/all.txt"} <= names
    allowed = {*PACKAGES, "dags", "docs", "tests", "PKG-INFO", ".gitignore", "pyproject.toml", "constraints.txt"}
    allowed |= {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "BENCHMARKS.md", "SECURITY.md", "Makefile"}
    assert {name.split("/")[0] for name in names} <= allowed


def test_an_archive_of_this_working_copy_would_leave_out_what_is_not_ours() -> None:
    """Files that a machine's own excludes hide from git are hidden from the build backend by name alone."""
    sdist = project()["tool"]["hatch"]["build"]["targets"].get("sdist", {})
    assert set(PACKAGES) <= {each.strip("/") for each in sdist.get("include", [])}


def test_checksums_are_those_that_sha256sum_checks(built: Path, tmp_path: Path) -> None:
    for file in built.iterdir():
        shutil.copy(file, tmp_path)
    write_checksums(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    wheel = next(tmp_path.glob("*.whl"))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in (tmp_path / "SHA256SUMS").read_text()


def test_a_broken_tree_is_told_with_what_the_backend_says(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(ConfigError, match="hatchling cannot build it"):
        build(tmp_path, tmp_path / "dist", 0)


def test_the_bill_of_materials_names_every_package_with_its_hashes(tmp_path: Path) -> None:
    """It has passed the schema of CycloneDX, or there would be no file."""
    pytest.importorskip("cyclonedx_py")
    lock = ROOT / "infra" / "locks" / "build.txt"
    write_sbom(lock, tmp_path / "one.json")
    found = json.loads((tmp_path / "one.json").read_text())
    assert (found["bomFormat"], found["metadata"]["component"]["name"]) == ("CycloneDX", "loregraph")
    assert "timestamp" not in found["metadata"]
    purls = {each["purl"] for each in found["components"]}
    assert "pkg:pypi/hatchling@1.33.0" in purls
    assert len(purls) == lock.read_text().count("==")
    assert all(each["externalReferences"][0]["hashes"] for each in found["components"])


def test_a_lock_that_cannot_be_described_is_named(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    with pytest.raises(ConfigError, match=r"none.txt: no bill of materials"):
        write_sbom(tmp_path / "none.txt", tmp_path / "one.json")


@pytest.mark.slow
def test_the_bill_of_materials_of_everything_is_the_same_twice(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    for name in ("one", "two"):
        write_sbom(ROOT / "infra" / "locks" / "all.txt", tmp_path / f"{name}.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


ANSWER = {
    "dependencies": [
        {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217"}, {"id": "PYSEC-2021-66"}]},
        {"name": "numpy", "version": "2.4.6", "vulns": []},
        {"name": "torch", "skip_reason": "Dependency not found"},
    ]
}


def test_packages_that_were_not_looked_up_are_no_clean_bill() -> None:
    found = read_answer(ANSWER)
    assert (found.looked_up, found.skipped, found.complete) == (2, ("torch",), False)
    assert found.vulnerabilities == (("jinja2", "2.10", "PYSEC-2019-217"), ("jinja2", "2.10", "PYSEC-2021-66"))


def test_a_vulnerability_is_refused_unless_it_is_allowed_and_still_is() -> None:
    known = read_answer(ANSWER).vulnerabilities
    allowed = {("jinja2", "PYSEC-2019-217"): date(2026, 1, 31), ("numpy", "PYSEC-2021-66"): date(2030, 1, 1)}
    assert refused(known, allowed, date(2026, 1, 31)) == [known[1]]
    assert refused(known, allowed, date(2026, 2, 1)) == list(known)


def test_the_exit_code_says_what_must_not_stay_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("all", read_answer(ANSWER), {}, strict=False) == 1
    away = Found(0, (), (), "no route to host")
    assert report("all", away, {}, strict=False) == 0
    assert "NOT AUDITED: no route to host" in capsys.readouterr().out
    assert report("all", away, {}, strict=True) == 1
    assert report("all", Found(2, (), ()), {}, strict=True) == 0


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('package = "x"\nid = "A-1"\nuntil = 2026-01-01', "expected package, id, reason and until"),
        ('package = "x"\nid = "A-1"\nreason = " "\nuntil = 2026-01-01', "expected package, id, reason and until"),
        ('package = "x"\nid = "A-1"\nreason = "r"\nuntil = "soon"', "until: expected a date, found 'soon'"),
    ],
)
def test_an_exception_without_reason_or_last_day_is_none(tmp_path: Path, entry: str, told: str) -> None:
    file = tmp_path / "allowed.toml"
    file.write_text(f"[[allowed]]\n{entry}\n")
    with pytest.raises(ConfigError, match=told):
        read_allowed(file)


def test_the_exceptions_of_the_repository_can_be_read() -> None:
    assert read_allowed(ROOT / "infra" / "release" / "allowed.toml") == {}
