"""Composition: opens the connections and builds each feature's dependencies from them.

Begin in `features.py`; `connections.py` opens stores and HTTP clients. Used by the
supervisor. May import every feature and engine, but neither public/ nor admin/; contains no rule.
"""
