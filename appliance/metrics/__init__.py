"""The endpoint /metrics for Prometheus.

Begin in `routes.py`; `exposition.py` renders the counters of instruments.py and the state of the
stores. May use every feature below it. See docs/metrics.md.
"""
