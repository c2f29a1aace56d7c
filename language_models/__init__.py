"""One seam to chat models (online, recorded, offline), the ledger that keeps their answers, and text encoders."""
