"""The steps of a night and the `loregraph` command line."""
