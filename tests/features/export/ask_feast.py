"""Apply an exported Feast repository, materialise it, ask it for a vector and a text: `python ask_feast.py FOLDER`."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import FeatureStore
from feast.repo_config import load_repo_config
from feast.repo_operations import apply_total

folder = Path(sys.argv[1])
os.chdir(folder)
sys.path.insert(0, str(folder))  # as the command `feast apply` has it
apply_total(load_repo_config(folder, folder / "feature_store.yaml"), folder, skip_source_validation=False)
store, now = FeatureStore(str(folder)), datetime.now(UTC)
store.materialize(now - timedelta(days=1), now)
vector, text = "item_rlmrec_item_summarization_tiny:value", "item_rlmrec_item_summarization:value"
online = store.get_online_features([vector], [{"item_id": "b3"}]).to_dict()
asked = pd.DataFrame({"item_id": ["b3", "b3"], "event_timestamp": [now, now - timedelta(days=2)]})
historical = store.get_historical_features(asked, [text]).to_df()
told = [
    [at < now - timedelta(days=1), value]
    for at, value in zip(historical["event_timestamp"], historical["value"], strict=True)
]
sys.stdout.write(json.dumps({"online": online["value"][0], "historical": told}) + "\n")
