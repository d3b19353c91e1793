# Reached only when the folder *above* this one is on sys.path (a repository root, say): then Python
# takes `sitecustomize/` for a package, which would sit there inert and hide every other
# sitecustomize. As `autoinstr.sitecustomize` (in a wheel) it does nothing.
if __name__ == "sitecustomize":
    from .sitecustomize import run as _run

    _run(__spec__ if "__spec__" in globals() else None, __path__[0], True)
