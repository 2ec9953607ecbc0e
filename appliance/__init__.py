"""scalelite-appliance: a pool of BigBlueButton servers that looks like one.

Nothing is imported here, so that `scalelite-appliance ctl` starts fast.
"""

__version__ = "0.1.0"
