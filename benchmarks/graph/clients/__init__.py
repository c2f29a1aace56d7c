"""Our side of every pair, as processes of their own that serve turns (`benchmarks/graph/peers/turns.py`)."""
