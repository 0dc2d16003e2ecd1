"""The chat in lines: a front end for screen readers, dumb terminals and pipes."""
