"""The injection folder: how it is laid out, made and checked."""
