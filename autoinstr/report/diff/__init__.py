"""Two runs side by side, module by module (docs/diff.md)."""
