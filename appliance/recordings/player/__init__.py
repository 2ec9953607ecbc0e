"""BBB's player: where it comes from, and how it is installed. Begin in `installation`."""
