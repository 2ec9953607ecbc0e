"""The pool of BBB servers: registry, states, polling, load, sync."""
