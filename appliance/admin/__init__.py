"""The admin API: the calls of all features, on the control socket and on the public listener.

Begin with routes.py, which has the table of all calls and serves it; access.py is the difference
between the two listeners, errors.py turns errors into answers, openapi.py describes the calls.
May import every feature.
"""
