"""Maintenance windows, in which servers take no meetings: planned in `windows`, begun in `task`."""
