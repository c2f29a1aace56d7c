"""The first minute: a run file made by looking at somebody's files, and what stands in the way of a night."""
