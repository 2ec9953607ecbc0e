"""Inspects a Scalelite's stores before the appliance takes over from it."""
