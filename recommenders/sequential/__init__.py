"""What recommenders over ordered histories share: batches, the trainer, networks that score item vectors."""
