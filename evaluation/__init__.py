"""One judge for every kind of recommender: protocol, full-ranking metrics, slices and intervals."""
