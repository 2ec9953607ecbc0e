"""Access tokens: they identify the callers of the admin API and log in to the console.

Begin with rules.py; store.py keeps the tokens in Redis, find.py identifies their bearers,
admin_calls.py manages them. May import tenants.
"""
