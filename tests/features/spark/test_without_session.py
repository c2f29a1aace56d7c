"""What the Spark package decides without a session: settings, and the cuts in time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.spark.session import settings_of
from features.spark.splits import cuts_from_some
from features.split_rules import time_cuts
from schemas.sections import Engine, Split


def test_a_session_of_this_machine_listens_on_loopback_alone():
    found = settings_of(Engine(cores=3), submitted=False)
    assert found["spark.master"] == "local[3]"
    assert found["spark.driver.bindAddress"] == "127.0.0.1"
    assert found["spark.ui.enabled"] == "false"


def test_spark_submit_keeps_its_master_and_a_run_file_goes_before():
    assert "spark.master" not in settings_of(Engine(), submitted=True)
    assert "spark.driver.host" not in settings_of(Engine(), submitted=True)
    assert settings_of(Engine(buckets=512), submitted=True)["spark.sql.shuffle.partitions"] == "512"
    own = Engine(master="spark://host:7077", spark={"spark.ui.enabled": "true", "spark.sql.session.timeZone": "CET"})
    found = settings_of(own, submitted=False)
    assert (found["spark.master"], found["spark.ui.enabled"]) == ("spark://host:7077", "true")
    assert "spark.driver.bindAddress" not in found
    assert found["spark.sql.session.timeZone"] == "CET"


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_a_few_moments_decide_as_all_do(sizes, valid, test):
    split = Split(rule="time", valid=valid / 2, test=test / 2)
    height, moments = sum(sizes), np.cumsum(sizes)[:-1].astype(np.int64)

    def around(wanted):
        return {*moments[moments <= wanted][-1:].tolist(), *moments[moments > wanted][:1].tolist()}

    assert cuts_from_some(set(moments[:2].tolist()), around, height, split) == time_cuts(moments, height, split)
