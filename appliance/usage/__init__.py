"""Usage: what meetings ran, with how many users, for which tenant and where.

Begin in `tally.py`, the rules by which polls are added up. observer.py does that at each poll,
writer.py writes to PostgreSQL (table.py) what is finished, report.py answers questions. Until then
everything is in Redis (store.py). May use the pool and tenants. Source: docs/tenants.md.
"""
