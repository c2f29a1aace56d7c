"""No file of ours runs text as code, unpickles, asks a shell or skips certificates; exceptions have a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "language_models", "features", "evaluation", "graph_models", "recommenders", "pipelines", "dags",
            "infra")  # fmt: skip
CALLS = ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.exec", "os.spawn", "yaml.load",
         "yaml.unsafe_load", "torch.load", "joblib.load", "marshal.loads", "shelve.open", "tempfile.mktemp",
         "pickle.load", "pickle.loads", "pd.read_pickle", "pandas.read_pickle", "dill.loads")  # fmt: skip
FLAGS = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "verify": False, "weights_only": False,
         "check_hostname": False, "autoescape": False}  # fmt: skip
IMPORTS = ("pickle", "dill", "cloudpickle", "marshal", "shelve", "telnetlib", "joblib")
# file and what is in it -> why that is no way in
ALLOWED = {
    ("features/spark/histories.py", "import pickle"): "rows of one Spark job between its own processes; never stored",
    ("features/spark/histories.py", "pickle.loads"): "the same rows, where they arrive",
    ("language_models/causal_folder.py", "import pickle"): "the class of an error alone: a pickle that was refused",
}


def findings(text: str) -> Iterator[str]:
    """What a Python text does of these."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if each.name.split(".")[0] in IMPORTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPORTS:
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS or name.startswith(("os.exec", "os.spawn")):
                yield name
            for each in node.keywords:
                if each.arg in FLAGS and isinstance(each.value, ast.Constant) and each.value.value is FLAGS[each.arg]:
                    yield f"{each.arg}={each.value.value}"


def test_no_file_makes_such_a_call_without_a_reason():
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 400
    found = {(str(file.relative_to(ROOT)), what) for file in files for what in findings(file.read_text("utf-8"))}
    assert found - set(ALLOWED) == set()
    assert set(ALLOWED) - found == set(), "an exception that nothing needs any more"


@pytest.mark.parametrize(
    "line",
    ["eval(text)", "import pickle", "from joblib import load", "torch.load(file)", "subprocess.run(text, shell=True)",
     "requests.get(url, verify=False)", "np.load(file, allow_pickle=True)", "yaml.load(text)", "os.system(text)",
     "AutoModel.from_pretrained(name, trust_remote_code=True)", "Environment(autoescape=False)"],
)  # fmt: skip
def test_each_of_them_would_be_found(line):
    assert list(findings(line))


def test_names_that_become_paths_have_no_way_out_of_their_folder():
    from pydantic import ValidationError

    from schemas.sections import ClickModel, Instructions, Model, SemanticIds

    for name in ("..", ".", "../up", "a/b", "a\\b", "a\n", "a\x00", "\u202ea", "", "a" * 101, ".hidden", "/etc"):
        for kind in (Model, ClickModel, SemanticIds, Instructions):
            with pytest.raises(ValidationError, match="name"):
                kind.model_validate({"name": name})


@pytest.mark.parametrize("ds", ["../../etc", "2026-1-1", "20260101", "2026-W01-1", "2026-01-01/..", ""])
def test_a_date_is_a_date_in_one_form(ds, tmp_path):
    from pipelines.night import open_night
    from schemas.errors import ConfigError
    from schemas.run import load_run
    from tests.support.watched_world import WATCHED, write_world

    run = load_run(write_world(tmp_path / "world", WATCHED))
    with pytest.raises(ConfigError, match="expected a date such as"):
        open_night(run, ds)


def test_a_new_ledger_is_its_owners_alone(tmp_path):
    from language_models.ledger import Ledger

    with Ledger(tmp_path / "ledger.sqlite", "2026-01-01"):
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("ledger.sqlite*") if file.is_file()}
    assert modes["ledger.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}
