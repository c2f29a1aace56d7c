"""Recommenders that tune a causal language model of a local folder on a catalogue's histories, with LoRA (peft)."""
