"""`autoinstr view`: the page and the timeline of a run in a browser, served to this machine only.

Contents: the server, its routes, a cache of reports, and Perfetto's user interface where it is
    installed.
May import: the other folders of `report`, `base`.
Start with: `server.py`.
"""
