"""Causal language models of Hugging Face that are tuned here: LoRA, new tokens, soft tokens and exact likelihoods."""
