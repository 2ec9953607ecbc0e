"""The audit trail: who changed what, when, from which value to which, and with what result.

Begin with rules.py; trail.py takes entries and moves them from Redis to PostgreSQL, store.py has
the table. Admin calls are recorded where they are made (admin/dispatch.py); other features that
change something by themselves call `AuditTrail.record`. May import admin_calls.
"""
