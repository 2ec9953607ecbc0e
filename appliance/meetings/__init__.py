"""Meetings: create, join, end, look-ups and lists; placement, failover, voice bridge numbers."""
