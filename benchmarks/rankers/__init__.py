"""What prompted and tuned language models must show as recommenders, beside graph and sequential models."""
