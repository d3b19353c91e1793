"""Known."""
def find_unknown(): return ""
