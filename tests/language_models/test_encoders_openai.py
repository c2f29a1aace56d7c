"""Embeddings of an endpoint: a simulated one with the faults of a bad day, and one that answers wrongly."""

import base64
import json

import numpy as np
import pytest
from aiohttp import web

from language_models.encoders import make_encoder
from language_models.encoders.openai_embeddings import EndpointModel
from language_models.encoders.windows import WindowEncoder
from language_models.protocols import Encoded
from language_models.simulator.embedding import embed
from schemas.errors import BudgetError, ConfigError, EngineError
from schemas.sections import Encoder
from tests.support.serving import serving
from tests.support.simulator import simulator

TEXTS = ["the sea", "a castle at night", "bread", "the sea and ships", "vampires"]


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.faults({})
    running.reset()
    return running


def config(url, **changes):
    return Encoder(kind="openai", name="text-embedding-3-small", base_url=url, **changes)


def encoder(url, retries=2, **changes):
    chosen = config(url, **changes)
    return WindowEncoder(chosen.name, chosen, EndpointModel(chosen, retries))


def test_unit_vectors_in_the_order_of_the_texts_in_batches(sim):
    found = make_encoder(config(sim.url, batch_size=2, dimensions=64, usd_per_million=0.02))
    assert found.dim == 64
    assert found.encode(TEXTS) == pytest.approx(np.stack([embed(text, 64) for text in TEXTS]), abs=1e-6)
    stats = sim.stats()
    assert stats["embeddings"] == 3
    assert found.done.tokens == stats["embedding_tokens"] > 0
    assert found.done.cost_usd == pytest.approx(stats["embedding_tokens"] * 0.02e-6)
    assert (found.done.texts, found.done.truncated, found.name) == (5, 0, "text-embedding-3-small")


def test_empty_input_and_an_empty_text(sim):
    found = encoder(sim.url)
    assert found.encode([]).shape == (0, 0)
    assert np.linalg.norm(found.encode(["", "bread"]), axis=1) == pytest.approx(1.0)
    assert found.encode([]).shape == (0, found.dim) == (0, 1536)
    assert sim.stats()["embeddings"] == 1


def test_a_prefix_is_sent(sim):
    found = encoder(sim.url, prefix="query: ", dimensions=64).encode(["sea"])
    assert found[0] == pytest.approx(embed("query: sea", 64), abs=1e-6)


def test_a_request_stays_below_the_tokens_that_an_endpoint_takes(sim):
    text = "word " * 5000
    encoder(sim.url, batch_size=2048, dimensions=8).encode([text] * 70)  # 350,000 tokens
    assert sim.stats()["embeddings"] == 2


@pytest.mark.parametrize("fault", ["rate_limit", "rate_limit_after", "server_error", "reset_before", "reset"])
def test_a_passing_fault_is_met_by_another_attempt(sim, fault):
    sim.faults({fault: 1.0, "most": {fault: 1}, "retry_after_s": 0.01})
    assert encoder(sim.url, dimensions=64).encode(TEXTS[:1])[0] == pytest.approx(embed(TEXTS[0], 64), abs=1e-6)
    assert sim.stats()["by_fault"] == {fault: 1}


def test_a_lasting_fault_ends_with_endpoint_and_next_step(sim):
    sim.faults({"server_error": 1.0})
    with pytest.raises(
        EngineError, match=rf"{sim.url}: model text-embedding-3-small: 50\d: .*run again later.*are kept"
    ):
        encoder(sim.url, retries=1).encode(TEXTS)
    assert sum(sim.stats()["by_status"].values()) == 2


def test_a_lasting_rate_limit_says_so(sim):
    sim.faults({"rate_limit_after": 1.0, "retry_after_s": 0.01})
    with pytest.raises(EngineError, match=r"429: .*quota"):
        encoder(sim.url, retries=1).encode(TEXTS)


def test_a_page_instead_of_an_answer_is_shown(sim):
    sim.faults({"invalid_body": 1.0})
    with pytest.raises(EngineError, match=r"expected a list of embeddings, found '<html>.*correct encoder\.base_url"):
        encoder(sim.url).encode(TEXTS)


def test_a_wrong_key_is_named_by_its_variable_and_never_shown(monkeypatch):
    monkeypatch.setenv("BOOKS_KEY", "sk-wrong-and-secret")
    with simulator("--key", "right") as sim:
        with pytest.raises(EngineError, match=r"401: .*encoder\.key_env") as raised:
            encoder(sim.url, key_env="BOOKS_KEY").encode(TEXTS)
        monkeypatch.setenv("BOOKS_KEY", "right")
        assert encoder(sim.url, key_env="BOOKS_KEY").encode(TEXTS).shape == (5, 1536)
    assert "secret" not in str(raised.value)


def test_no_key_is_needed_on_this_machine_only(monkeypatch):
    monkeypatch.delenv("BOOKS_KEY", raising=False)
    with pytest.raises(EngineError, match=r"https://example\.invalid/v1: no key; .*BOOKS_KEY"):
        make_encoder(config("https://example.invalid/v1", key_env="BOOKS_KEY"))


def test_an_address_without_an_endpoint(sim):
    with pytest.raises(EngineError, match=r"404: .*correct encoder\.base_url and encoder\.name"):
        encoder(sim.root + "/nowhere").encode(TEXTS)
    with pytest.raises(EngineError, match=r"Connection.*correct encoder\.base_url"):
        encoder("http://127.0.0.1:9/v1", retries=0).encode(TEXTS)


# ---- long texts


def test_a_long_text_is_cut_or_is_the_mean_of_its_windows(sim):
    text = " ".join(["red"] * 5 + ["blue"] * 3)  # a token each, by estimate
    cut, chunked = (encoder(sim.url, max_tokens=5, dimensions=64, long=long) for long in ("truncate", "chunk"))
    red, blue = embed("red " * 5, 64), embed("blue " * 3, 64)
    assert cut.encode([text, "sea"])[0] == pytest.approx(red, abs=1e-6)
    assert (cut.limit, cut.done.truncated) == (5, 1)
    mean = 5 * red + 3 * blue
    assert chunked.encode(["sea", text])[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert chunked.done.truncated == 0


def test_a_text_that_no_endpoint_would_take_is_cut_by_itself(sim):
    found = encoder(sim.url, dimensions=8)
    found.encode(["word " * 20_000])
    assert found.done.truncated == 1
    with pytest.raises(EngineError, match=r"400: .*at most 8192 tokens.*lower encoder\.max_tokens"):
        encoder(sim.url, max_tokens=20_000).encode(["word " * 15_000])


# ---- the cap


def test_nothing_is_sent_that_could_pass_the_cap(sim):
    capped = encoder(sim.url, usd_per_million=1.0, max_cost_usd=0.0004, batch_size=10, dimensions=8)
    text = "a castle by the sea at night"  # 7 tokens, 28 bytes
    capped.encode([text] * 10)
    with pytest.raises(BudgetError, match=r"encoder\.max_cost_usd: \$0\.000070 of \$0\.000400 is spent, .*are kept"):
        capped.encode([text] * 40)
    assert sim.stats()["embeddings"] == 1, "not even the first of the four requests, whose vectors would be lost"
    assert capped.done == Encoded(texts=10, truncated=0, tokens=70, cost_usd=pytest.approx(0.00007))
    with pytest.raises(BudgetError):
        encoder(sim.url, usd_per_million=1.0, max_cost_usd=0.0).encode([text])


# ---- wrong answers


def rows(body, dim=2):
    """The right answer's data: texts are numbers, and the vector of n points to (n, 1)."""
    return [{"index": at, "embedding": [float(text), 1.0][:dim]} for at, text in enumerate(body["input"])]


def answer(respond, texts=("0", "1", "2"), **changes):
    async def handle(request):
        said = respond(json.loads(await request.text()))
        return web.Response(text=json.dumps(said), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    with serving(app) as url:
        found = encoder(url, retries=0, **changes)
        return found.encode(list(texts)), found


def test_rows_come_back_by_their_index_and_base64_or_not():
    def shuffled(body):
        data = rows(body)
        data[1]["embedding"] = base64.b64encode(np.array([1.0, 1.0], "<f4").tobytes()).decode()
        return {"data": data[::-1]}

    vectors, found = answer(shuffled)
    assert vectors == pytest.approx(np.array([[0, 1], [0.5**0.5, 0.5**0.5], [2 / 5**0.5, 1 / 5**0.5]]))
    assert found.done.tokens == 3, "estimated, where no usage comes"


@pytest.mark.parametrize(
    ("respond", "said"),
    [
        (lambda body: {"data": rows(body)[:2]}, r"expected an embedding for each of 3 texts, found 2"),
        (lambda body: {"data": [*rows(body)[:2], rows(body)[0]]}, r"each of 3 texts, found 3 for \[0, 1\]"),
        (lambda body: {"data": [{**row, "index": row["index"] + 1} for row in rows(body)]}, r"for \[1, 2, 3\]"),
        (lambda body: {"data": [*rows(body)[:2], *[{"index": 2, "embedding": [1.0]}]]}, "expected 2 dim.*found 1"),
        (lambda body: {"data": [{**row, "embedding": [float("nan"), 1.0]} for row in rows(body)]}, "expected finite"),
        (lambda body: {"data": [{**row, "embedding": [1e300, 1.0]} for row in rows(body)]}, "expected finite"),
        (lambda body: {"data": [{**row, "embedding": [0.0, 0.0]} for row in rows(body)]}, "not all zero"),
        (lambda body: {"data": [{**row, "embedding": "?"} for row in rows(body)]}, "expected a list of embeddings"),
        (lambda body: {"data": [{**row, "embedding": None} for row in rows(body)]}, "expected a list of embeddings"),
        (lambda body: {"error": "no"}, "expected a list of embeddings"),
        (lambda body: [], "expected a list of embeddings"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_wrong_answer_is_never_a_vector(respond, said):
    with pytest.raises(EngineError, match=said):
        answer(respond)


def test_an_endpoint_keeps_its_dimensions():
    with pytest.raises(EngineError, match=r"expected 3 dimensions \(encoder\.dimensions\), found 2"):
        answer(lambda body: {"data": rows(body)}, dimensions=3)
    with pytest.raises(EngineError, match=r"expected 2 dimensions .*found 1"):
        answer(lambda body: {"data": rows(body, 1 if "2" in body["input"] else 2)}, batch_size=2)


def test_a_prefix_without_room():
    with pytest.raises(ConfigError, match=r"encoder\.max_tokens: expected more than"):
        make_encoder(config("http://127.0.0.1:9/v1", prefix="a very long instruction", max_tokens=2))
