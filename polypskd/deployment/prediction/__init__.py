"""From files to tables: reading, judging, going on after a kill."""
