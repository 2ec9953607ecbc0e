"""Tenants: their secrets, settings, scoped meeting ids, LRS."""
