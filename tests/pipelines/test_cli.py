"""The command: its exit codes, its JSON, and what it does not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_world import RUN

DS = "2026-01-01"
LOREGRAPH = [sys.executable, "-m", "pipelines.cli"]


def loregraph(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LOREGRAPH, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['loregraph', '--help']\nfrom pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'polars', 'pyspark', 'great_expectations', 'sentence_transformers', 'numpy', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    steps = ("ingest", "split", "plan", "generate", "encode", "materialize", "train", "evaluate", "promote")
    for word in ("night", *steps):
        assert word in done.stdout


def test_steps_alone_make_a_night_and_json_is_the_last_line(world) -> None:
    file = world()
    asked = []
    for step in ("ingest", "split", "plan", "generate"):
        done = loregraph(step, "--run", file, "--ds", DS, "--json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout.splitlines()[-1])
        assert set(summary["seconds"]) == {step}
        asked.append(summary["asked"])
    assert asked[:3] == [0, 0, 0]
    assert asked[3] >= 70

    lake = file.parent / "lake"
    shown = loregraph("table", "profiles", "--lake", lake, "--head", 2, "--json")
    rows = json.loads(shown.stdout)
    assert len(rows) == 2
    assert rows[0]["model"] == "offline"
    assert "rows" in loregraph("table", "items", "--lake", lake, "--version", 0).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["night", "--run", "missing.toml"], 2, "no such run file"),
        (["night"], 2, "--run"),
        (["sing"], 2, "sing"),
        (["list", "spells"], 2, "known: adaptors, backbones"),
        (["table", "Profiles", "--lake", "nowhere"], 1, "Profiles"),
        (["table", "profiles", "--lake", "nowhere"], 1, "profiles"),
    ],
)
def test_mistakes_end_with_their_exit_code_and_one_message(arguments: list[str], code: int, said: str) -> None:
    done = loregraph(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_exit_codes_of_gate_and_data(world) -> None:
    strict = world(run=RUN.replace("duplicates = 1.0", "duplicates = 1.0\nmin_characters = 3000"), folder="strict")
    assert loregraph("night", "--run", strict, "--ds", DS).returncode == 3
    (strict.parent / "data" / "interactions.csv").write_text("")
    done = loregraph("ingest", "--run", strict, "--ds", DS)
    assert done.returncode == 1
    assert "interactions.csv" in done.stderr


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("recipes", "rlmrec.item"),
        ("backbones", "alpharec"),
        ("objectives", "rlmrec_con"),
        ("recommenders", "text_match"),
        ("encoders", "sentence_transformer"),
        ("engines", "recorded"),
    ],
)
def test_list_names_source_and_doc_of_every_entry(kind: str, name: str) -> None:
    entries = json.loads(loregraph("list", kind, "--json").stdout)
    assert name in [entry["name"] for entry in entries]
    for entry in entries:
        assert set(entry) == {"name", "source", "doc", "card"}
        assert entry["source"]
        assert entry["doc"]
        assert bool(entry["card"]) == (kind == "recipes")


def test_the_packages_are_this_repository() -> None:
    import evaluation
    import features
    import graph_models
    import language_models
    import pipelines
    import recommenders
    import schemas

    root = Path(__file__).parents[2]
    for package in (schemas, language_models, features, evaluation, graph_models, recommenders, pipelines):
        assert Path(str(package.__file__)).parents[1] == root
