"""Stages, what runs, caches, scores and shows them, and the command line over them."""
