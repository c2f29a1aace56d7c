"""Models, indexes and tokenizers of strangers are data: what would run code is refused, what is damaged is named."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from features.table import FeatureSet
from features.tokenizers.base import ABOUT, ARRAYS
from features.tokenizers.rq_kmeans import RqKMeans
from graph_models.checkpoint import Checkpoint
from graph_models.kept import NODES, PARAMETERS, Kept
from language_models.causal_folder import load
from language_models.encoders.hf import HiddenStatesModel
from language_models.encoders.sentence_transformer import SentenceTransformerModel
from language_models.model_folder import find_model
from recommenders import load_recommender
from recommenders.index import FILE, index_of, load_index
from recommenders.popularity import Popularity
from recommenders.pure_svd import PureSVD
from schemas.errors import ConfigError, StoreError
from schemas.sections import Encoder
from tests.support.communities import two_communities
from tests.support.tiny_model import save_tiny_model

HUGE = struct.pack("<Q", 2**60) + b"{}"  # safetensors: a header of an exabyte
PAST = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
DAMAGED = {
    "empty": b"",
    "huge header": HUGE,
    "tensors past the end": struct.pack("<Q", len(PAST)) + PAST,
    "deep header": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "zeros": bytes(4096),
}


class Planted:
    """Unpickled, it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.write_text, (self.file, "run"))


@pytest.fixture
def planted(tmp_path):
    """Where the payload would write, which it must not, and the payload; it works where pickles are run."""
    file = tmp_path / "planted"
    payload = pickle.dumps(Planted(file))
    pickle.loads(payload)
    assert file.read_text() == "run"
    file.unlink()
    yield payload
    assert not file.exists(), "code of the file was run"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def hostile(tiny: Path, home: Path, payload: bytes, raw: bool) -> Path:
    """The model with a pickle for weights: as torch writes it, or bare."""
    folder = shutil.copytree(tiny, home / "hostile")
    (folder / "model.safetensors").unlink()
    if raw:
        (folder / "pytorch_model.bin").write_bytes(payload)
    else:
        torch.save({"a": Planted(home / "planted")}, folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize("raw", [True, False], ids=["bare", "in torch's archive"])
@pytest.mark.parametrize("door", ["hf", "sentence_transformer", "causal"])
def test_weights_that_are_a_pickle_are_refused(door, raw, tiny, tmp_path, planted):
    folder = hostile(tiny, tmp_path, planted, raw)
    with pytest.raises(ConfigError, match=str(folder)):
        open_model(door, folder)


@pytest.mark.parametrize("door", ["hf", "sentence_transformer", "causal"])
def test_code_of_a_model_s_folder_is_not_run(door, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "hostile")
    (folder / "code.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w').write('run')\nclass Config: pass\n")
    config = json.loads((folder / "config.json").read_text())
    named = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer"), "code.Config")
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of", "auto_map": named}))
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "code.Config"}]))
    with pytest.raises(ConfigError, match=str(folder)):
        open_model(door, folder)
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_weights_are_named(name, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(DAMAGED[name])
    with pytest.raises(ConfigError, match=str(folder)):
        open_model("causal", folder)


def open_model(door: str, folder: Path) -> object:
    if door == "hf":
        return HiddenStatesModel(Encoder(kind="hf", name=str(folder), device="cpu"))
    if door == "sentence_transformer":
        return SentenceTransformerModel(Encoder(name=str(folder), device="cpu"))
    return load(find_model(str(folder)), torch.float32)


@pytest.fixture
def saved(tmp_path):
    model = PureSVD()
    model.fit(two_communities(), FeatureSet())
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_recommender_that_is_a_pickle_or_damaged_is_refused_and_the_file_named(saved, planted):
    for content in (planted, *DAMAGED.values()):
        (saved / "vectors.safetensors").write_bytes(content)
        with pytest.raises(StoreError, match=r"vectors\.safetensors: cannot be read as a saved pure_svd"):
            load_recommender(saved)


def test_a_recommender_of_other_tensors_or_with_another_account_of_itself_is_refused(saved):
    save_file({"user": torch.zeros(2, 2)}, saved / "vectors.safetensors")
    with pytest.raises(StoreError, match="cannot be read as a saved pure_svd"):
        load_recommender(saved)
    for content in ("[" * 100_000, "[]", '{"recommender": ["os.system"]}', '{"recommender": "../../etc"}', "\x00"):
        (saved / "recommender.json").write_text(content)
        with pytest.raises(StoreError, match=r"recommender\.json"):
            load_recommender(saved)


def test_every_recommender_s_loading_goes_through_that_door(tmp_path):
    model = Popularity()
    model.fit(two_communities(), FeatureSet())
    model.save(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(HUGE)
    with pytest.raises(StoreError, match="safetensors"):
        load_recommender(tmp_path)


def test_what_a_night_starts_from_is_refused_and_a_checkpoint_is_begun_anew(tmp_path, planted):
    (tmp_path / NODES).write_bytes(b"PAR1")
    for content in (planted, *DAMAGED.values()):
        (tmp_path / PARAMETERS).write_bytes(content)
        with pytest.raises(StoreError, match=PARAMETERS):
            Kept.load(tmp_path)
        assert Checkpoint(tmp_path / PARAMETERS, "key").load() is None


def test_a_checkpoint_without_its_state_is_begun_anew(tmp_path):
    for state in ({}, {"state": "[" * 100_000}, {"state": "{"}):
        save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={"key": "key", **state})
        assert Checkpoint(tmp_path / "a.safetensors", "key").load() is None


def test_codebooks_that_are_a_pickle_are_refused(tmp_path, planted):
    (tmp_path / ABOUT).write_text("{}")
    for content in (planted, *DAMAGED.values()):
        (tmp_path / ARRAYS).write_bytes(content)
        with pytest.raises(StoreError, match=str(tmp_path)):
            RqKMeans().load(tmp_path)


OPEN_INDEX = """
import sys
from pathlib import Path
from recommenders import load_recommender
from recommenders.index import load_index
from schemas.errors import StoreError
folder = Path(sys.argv[1])
for file in sorted(Path(sys.argv[2]).iterdir()):
    (folder / "items.usearch").write_bytes(file.read_bytes())
    try:
        load_index(folder, load_recommender(folder))
        raise SystemExit(f"{file.name}: taken for an index")
    except StoreError as error:
        assert "items.usearch" in str(error), error
"""


def test_an_index_that_is_damaged_is_refused_and_ends_no_process(saved, tmp_path, planted):
    pytest.importorskip("usearch")
    model = load_recommender(saved)
    index_of(model).save(saved, {})
    whole = (saved / FILE).read_bytes()
    assert len(load_index(saved, model).item) == len(model.item)
    contents = {**DAMAGED, "pickle": planted, "half": whole[: len(whole) // 2], "head": whole[:64]}
    (tmp_path / "damaged").mkdir()
    for name, content in contents.items():
        (tmp_path / "damaged" / name).write_bytes(content)
    command = [sys.executable, "-c", OPEN_INDEX, str(saved), str(tmp_path / "damaged")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    file = tmp_path / "objects.npy"
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):  # numpy's default, which nothing here changes
        np.load(file)
