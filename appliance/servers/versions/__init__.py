"""Shares of the new meetings for versions of BBB (`shares`), and the watch over them (`watch`)."""
