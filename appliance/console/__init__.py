"""The web console at /scalelite/ (docs/console.md).

Begin with routes.py: who may see a page, and the table of pages. A page is a module of pages/ with
a template of its name; what changes on it by itself is rendered by its `parts` function and sent to
open pages by live.py. Every change is an admin call (core.py). snapshot.py reads the pool once a
second while a page is open; problems.py judges it; charts.py draws.
May import every feature and admin/.
"""
