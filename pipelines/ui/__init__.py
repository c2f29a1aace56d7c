"""`loregraph ui`: a local web page over the tables and records of runs; it reads, and writes nothing."""
