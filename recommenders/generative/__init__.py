"""What recommenders that generate codes share: the trie of all tuples, the search in it, the T5 that is searched."""
