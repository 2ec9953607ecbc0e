"""How an admin call is declared: its types, its refusals, and who makes it.

Each feature has its calls in `admin_calls.py`; `appliance.admin` serves them and documents them.
Begin with call.py, then fields.py. Imports no feature.
"""
