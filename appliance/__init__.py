"""scalelite-appliance: a load balancer for BigBlueButton servers.

Nothing is imported here, so that `scalelite-appliance ctl` starts fast.
"""

__version__ = "0.1.0"
