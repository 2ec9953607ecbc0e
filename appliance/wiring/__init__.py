"""Composition, by field: what is opened, and what is put together of it.

For the supervisor, and for those commands that need no running appliance.
"""
