"""What a changed flow would have written, beside what was: on the log as it was."""
