"""The images, and a rehearsal of their build where there is no container engine."""
