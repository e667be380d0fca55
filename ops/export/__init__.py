"""Streams as files: Parquet, CSV or JSON lines, each with a manifest that says what is in it."""
