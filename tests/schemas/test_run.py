"""The run file: what it refuses, and how it says so."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.run import load_run

MINIMAL = 'name = "mini"\nlake = "lake"\n[data]\npath = "data"\n'


@pytest.fixture
def write(tmp_path: Path):
    def write_run(text: str) -> Path:
        file = tmp_path / "run.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write_run


def test_paths_are_relative_to_the_run_file(write, tmp_path: Path) -> None:
    run = load_run(write(MINIMAL))
    assert (run.lake, run.data.path) == (str(tmp_path / "lake"), str(tmp_path / "data"))


def test_lake_of_the_command_line_wins_and_urls_stay(write) -> None:
    assert load_run(write(MINIMAL), lake="s3://bucket/lake").lake == "s3://bucket/lake"


def test_environment_variables_and_defaults_are_expanded(
    write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write(MINIMAL.replace('"data"', '"${PLACE:-fallback}/books"'))
    monkeypatch.delenv("PLACE", raising=False)
    assert load_run(file).data.path == str(tmp_path / "fallback" / "books")
    monkeypatch.setenv("PLACE", "/elsewhere")
    assert load_run(file).data.path == "/elsewhere/books"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINIMAL + "[llm]\ntemprature = 1\n", "llm: temprature: unknown, did you mean temperature?"),
        (MINIMAL + '[[models]]\nname = "a"\n[[models.objectives]]\nname = "x"\nwieght = 1\n', "did you mean weight?"),
        ("lakee = 'x'\n" + MINIMAL, "top level: lakee: unknown, did you mean lake?"),
        (MINIMAL + "[split]\nrule = 'sideways'\n", "split.rule"),
        (MINIMAL + "[split]\nvalid = 1.5\n", "found 1.5"),
        (MINIMAL + '[[models]]\nname = "a"\n', "baseline: lightgcn: unknown"),
        ('baseline = "a"\n' + MINIMAL + '[[models]]\nname = "a"\ntraining = { lerning_rate = 1 }\n', "learning_rate"),
        ('baseline = "a"\n' + MINIMAL + '[[models]]\nname = "a"\n[[models]]\nname = "a"\n', "two models are called a"),
        ("name = 'mini'\nlake = 'l'\n", "data: missing"),
        ("name = ", "not a TOML file"),
    ],
)
def test_mistakes_are_named_with_file_and_nearest_key(write, text: str, said: str) -> None:
    file = write(text)
    with pytest.raises(ConfigError) as raised:
        load_run(file)
    assert said in str(raised.value)
    assert str(file) in str(raised.value)


def test_a_missing_run_file_names_one_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run file"):
        load_run(tmp_path / "none.toml")


def test_a_run_is_immutable(write) -> None:
    run = load_run(write(MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        run.name = "other"  # type: ignore[misc]


def test_a_model_overrides_the_training_section(write) -> None:
    text = (
        'baseline = "a"\n' + MINIMAL + "[training]\nl2 = 0.5\n[[models]]\nname = 'a'\ntraining = { batch_size = 7 }\n"
    )
    run = load_run(write(text))
    training = run.training_of(run.models[0])
    assert (training.batch_size, training.l2) == (7, 0.5)


RUNS = Path("infra/runs")


@pytest.mark.parametrize("file", sorted(RUNS.rglob("*.toml")), ids=str)
def test_every_run_file_of_the_repository_loads(file: Path) -> None:
    assert load_run(file).name == "-".join(file.relative_to(RUNS).with_suffix("").parts)
