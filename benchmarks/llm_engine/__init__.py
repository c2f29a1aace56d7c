"""What the LLM engine must show: figures R1 to R17, measured against `loregraph simulate` in its own process."""
