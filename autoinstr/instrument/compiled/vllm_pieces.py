"""vLLM's pieces."""
def connect(ranges): pass
