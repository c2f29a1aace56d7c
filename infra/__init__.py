"""Files that run and feed the project: the sample data set and the containers."""
