"""Benchmarks of large pools: what grows with the pool, and what it does to other calls meanwhile.

    make bench-large ARGS="--only metrics,lists --quick"

Begin in `scenario.py`. Each module of scenarios is found by itself: a new one only has to register
its scenarios with `@scenario`. `beside.py` measures other calls while something large happens,
`noise.py` how much the machine disturbs the figures, `table.py` renders them.
"""
