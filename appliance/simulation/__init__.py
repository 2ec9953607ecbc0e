"""Replay of timetables in simulated time: `scalelite-appliance simulate`, and the benchmarks.

Begin with study.py. timetable.py and traces.py make the input, replay.py is the simulated pool,
rules.py has the placement rules, line_plot.py and svg.py draw the result. Uses pool/,
meetings/store.py, servers/load.py, servers/store.py and system/. The running appliance never
imports this package: ctl/simulate.py starts it as a process of its own.
"""
