"""Shards by worker processes: the same vectors as by one, and an error that tells what happened where one is lost."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

from language_models.encoders import make_encoder
from language_models.encoders.loading import devices
from language_models.encoders.shards import shard_encoder
from language_models.encoders.workers import Workers
from schemas.errors import ConfigError, WorkerError
from schemas.sections import Encoder
from tests.support.tiny_model import save_tiny_model

SHARDS = [[f"Dracula {shard} {text} " * (1 + text % 5) for text in range(40)] for shard in range(6)]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return Encoder(kind="hf", name=str(folder), device="cpu", max_tokens=60)


def test_workers_give_what_one_process_gives_and_a_killed_one_is_named(config):
    one, stop = make_encoder(config), threading.Event()
    expected = [one.encode(texts) for texts in SHARDS]
    workers = Workers(config, ["cpu", "cpu"], stop)
    try:
        found = dict(workers.encode(SHARDS))
        assert sorted(found) == list(range(6))
        for number, vectors in found.items():
            assert vectors == pytest.approx(expected[number], abs=1e-6), number
        assert (workers.done, workers.limit) == (one.done, 60)
        assert all(worker.done.texts for worker in workers.workers), "both have worked"

        coming = workers.encode(SHARDS)
        next(coming)
        os.kill(workers.workers[1].process.pid, signal.SIGKILL)
        with pytest.raises(
            WorkerError, match=r"worker 2 of 2 \(cpu\) was ended by SIGKILL.*are kept.*encoder\.workers"
        ):
            list(coming)
    finally:
        workers.close()
    assert not any(worker.process.is_alive() for worker in workers.workers)


def test_what_a_worker_raises_is_raised_here(config):
    missing = config.model_copy(update={"name": "none/such"})
    with pytest.raises(ConfigError, match=r"encoder\.name: none/such: expected the folder"):
        Workers(missing, ["cpu"], threading.Event())


def test_an_error_that_is_none_of_ours_says_which_worker(config):
    workers = Workers(config, ["cpu"], threading.Event())
    try:
        with pytest.raises(WorkerError, match=r"worker 1 of 1 \(cpu\): TypeError: .*are kept"):
            list(workers.encode([[None]]))
    finally:
        workers.close()


def test_a_signal_breaks_the_shard_off_and_what_came_before_is_kept(config):
    stop, seen = threading.Event(), []
    before = signal.getsignal(signal.SIGTERM)
    with shard_encoder(config.model_copy(update={"batch_size": 1}), stop) as encoder:  # half a minute of batches
        one = encoder.encode([SHARDS[0], ["a longer text of many tokens " * 2] * 10_000])
        seen.append(next(one))
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        assert list(one) == []
    assert time.monotonic() - began < 10
    assert (stop.is_set(), encoder.done.texts, signal.getsignal(signal.SIGTERM)) == (True, 40, before)


def test_no_shard_is_begun_once_a_stop_is_asked_for(config):
    stop = threading.Event()
    stop.set()
    with shard_encoder(config, stop) as encoder:
        assert list(encoder.encode(SHARDS)) == []


def test_one_process_per_gpu_unless_the_run_file_says_how_many(monkeypatch):
    assert devices("cpu", None) == ("cpu",)
    assert devices("cpu", 3) == ("cpu", "cpu", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices("auto", None) == devices("cuda", None) == ("cuda:0", "cuda:1")
    assert devices("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert devices("cuda:1", None) == ("cuda:1",)


def test_a_warm_up_is_not_counted(config):
    encoder = make_encoder(config)
    encoder.warm_up()
    assert encoder.done.texts == 0


def test_float16_is_for_a_gpu(config):
    with pytest.raises(ConfigError, match=r"encoder\.precision: float16 needs a GPU; expected float32 or bfloat16"):
        make_encoder(config.model_copy(update={"precision": "float16"}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_on_a_gpu_is_near(precision):
    gpu = make_encoder(Encoder(device="cuda", precision=precision)).encode(SHARDS[0])
    assert (make_encoder(Encoder(device="cpu")).encode(SHARDS[0]) * gpu).sum(axis=1).min() > 0.999


def test_the_order_of_tokens_is_undone():
    texts = ["red", "a much longer text about gothic castles", "x y", ""] * 30
    encoder = make_encoder(Encoder(batch_size=8))
    alone = np.concatenate([encoder.encode([text]) for text in texts[:4]])
    assert encoder.encode(texts) == pytest.approx(np.tile(alone, (30, 1)), abs=1e-5)
