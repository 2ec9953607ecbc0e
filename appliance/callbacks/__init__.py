"""Calls to front-ends: the durable queue, ended meetings, web hooks, analytics."""
