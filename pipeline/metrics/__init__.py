"""Scores for actions and captions: the field's numbers, with floors and intervals beside them."""
