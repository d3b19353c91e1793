"""`autoinstr view`: show the page and the timeline of a run in a browser of this machine.

Contents: the server, its request handler and its table of routes, a cache of reports, and
    Perfetto's user interface where it is installed.
May import: the other folders of `report`, `base`.
Start with: `server.py`.
"""
