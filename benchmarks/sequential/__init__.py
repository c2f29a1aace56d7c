"""What sequential and generative recommenders must show, beside a peer in one run."""
