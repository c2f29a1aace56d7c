"""The sample data set: public-domain books and simulated readers."""
