"""Calls to front-ends: a durable queue, notifications of ended meetings, web hooks, analytics.

Begin in `rules.py` (what a callback is and when it is retried), `queue.py` and `sender.py`; for
ended meetings in `ended.py`, for web hooks in `hook_sync.py`, for analytics in `analytics.py`. May
use pool/, tenants/, bbb/ and the engines. See docs/callbacks.md.
"""
