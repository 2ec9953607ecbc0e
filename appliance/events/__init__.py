"""Recent events: what happened to servers, meetings, recordings and stores, for an operator.

Begin in journal.py: it takes events from the log (texts.py names them and words them), keeps the
last ones of all appliances in Redis, and gives them to `ctl events` and the console. A feature
reports by logging; nothing calls this one. May use the engines `redis` and `log`.
"""
