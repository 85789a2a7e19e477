"""Side-by-side timing of vizoo and its peers."""
