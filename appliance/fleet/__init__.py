"""The fleet: how many servers are needed, and what asks a cloud for them.

Begin in `capacity.py`, the rules. forecast.py reads what the last weeks were like, store.py what
Redis knows besides the servers, autoscale.py tells the autoscaler. May use servers, usage and the
pool. Source: docs/fleet.md.
"""
