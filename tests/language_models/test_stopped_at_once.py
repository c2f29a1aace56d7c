import signal
import threading
import time

import pytest

from language_models.stopping import stopped_at_once
from schemas.errors import StopError


class Finalised:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def wait_after_a_lost_stop() -> None:
    Finalised()
    time.sleep(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_whose_error_a_finaliser_swallows_comes_again():
    stop, before, began = threading.Event(), signal.getsignal(signal.SIGTERM), time.monotonic()
    with pytest.raises(StopError), stopped_at_once(stop):
        wait_after_a_lost_stop()
    assert stop.is_set()
    assert time.monotonic() - began < 5
    assert signal.getsignal(signal.SIGTERM) == before
