# Python takes this folder for a package if the folder above it is on sys.path, for example the root
# of the repository. The package would then hide every other sitecustomize. So it runs the file
# within. As `autoinstr.sitecustomize` (in a wheel) it does nothing.
if __name__ == "sitecustomize":
    from .sitecustomize import run as _run

    _run(__spec__ if "__spec__" in globals() else None, __path__[0], True)
