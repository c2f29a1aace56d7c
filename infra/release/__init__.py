"""What a release is made of: locks, wheel and sdist, bill of materials, audit."""
