"""Tenants: secrets, settings, scoped meeting ids, views for front-ends, learning record stores.

Begin in `cache.py` and `store.py` (the tenant of a request), `scoped_id.py` (equal meeting ids of
two tenants) or `administration.py`. May use admin_calls/, bbb/ and the engines. See
docs/tenants.md.
"""
