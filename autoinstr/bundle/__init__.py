"""`autoinstr bundle`: make and check the injection folder for containers.

Contents: the layout of a bundle, its files and their manifest, byte code for each Python, and the
    check of a bundle.
May import: `base`.
Start with: `build.py`.
"""
