"""`autoinstr view`: the page and the timeline of a run in a browser, from this machine only."""
