"""Recomputing from the record: out of the journal, through the core, and against what was kept."""
