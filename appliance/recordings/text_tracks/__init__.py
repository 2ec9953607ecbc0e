"""Captions of recordings. Begin in `calls`."""
