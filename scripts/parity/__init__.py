"""Live comparison of the vizoo program with Transformers on fresh random configurations."""
