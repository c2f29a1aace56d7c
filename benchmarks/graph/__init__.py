"""What graph training, ranking and text encoding must show, each beside a peer in one run."""
