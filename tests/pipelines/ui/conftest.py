"""Two nights of a small world, made once; the page over them, for requests and for a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.ui.app import create_page
from pipelines.ui.shelf import shelves_of
from tests.support.hostile_world import hostile_nights
from tests.support.ui_world import CHROMIUM, served, two_nights


@pytest.fixture(scope="session")
def nights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of the two nights; nobody may write there."""
    return two_nights(tmp_path_factory.mktemp("page") / "world")


@pytest.fixture
def own_nights(nights_file: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    shutil.copytree(nights_file.parent, tmp_path / "world")
    return tmp_path / "world" / nights_file.name


@pytest.fixture
def client(nights_file: Path) -> TestClient:
    return TestClient(create_page(shelves_of([nights_file])))


@pytest.fixture
def page_of() -> Callable[[Path], TestClient]:
    """The page over a run file."""
    return lambda file: TestClient(create_page(shelves_of([file])))


@pytest.fixture(scope="session")
def site(nights_file: Path) -> Iterator[str]:
    """The address of the page over the two nights."""
    with served(create_page(shelves_of([nights_file]))) as address:
        yield address


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of two nights of hostile titles and answers; nobody may write there."""
    return hostile_nights(tmp_path_factory.mktemp("hostile") / "world")


@pytest.fixture
def hostile_copy(hostile_file: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    shutil.copytree(hostile_file.parent, tmp_path / "hostile")
    return tmp_path / "hostile" / hostile_file.name


@pytest.fixture(scope="session")
def hostile_client(hostile_file: Path) -> TestClient:
    return TestClient(create_page(shelves_of([hostile_file])))


@pytest.fixture(scope="session")
def hostile_site(hostile_file: Path) -> Iterator[str]:
    """The address of the page over the hostile nights."""
    with served(create_page(shelves_of([hostile_file]))) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser. Skipped where Playwright or Chromium is not installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page of a browser, with what it complains of."""
    size, scheme = request.param
    context = chromium.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme)
    page = context.new_page()
    page.complaints = []
    page.rules = ["color-contrast"] if scheme == "dark" else None  # the other rules see the same page in both
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()
