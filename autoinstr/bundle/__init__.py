"""`autoinstr bundle`: the injection folder for containers.

Contents: its layout, its files and their manifest, byte code for each Python, and the check of a
    bundle.
May import: `base`.
Start with: `build.py`.
"""
