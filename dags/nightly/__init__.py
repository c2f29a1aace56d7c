"""The parts of the nightly DAGs: what a task calls, what an asset says, who is told. The DAG files import them."""
