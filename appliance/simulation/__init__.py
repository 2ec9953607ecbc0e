"""Replaying timetables against placement rules: `scalelite-appliance simulate`, and benchmarks."""
