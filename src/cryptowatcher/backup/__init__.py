"""Backups: a consistent pair of store and journal, taken while the watcher runs, and put back whole or not at all.

facts   what stands in the files
take    copy, verify, publish
restore verify, and change places so that a kill leaves either the old or the new
"""
