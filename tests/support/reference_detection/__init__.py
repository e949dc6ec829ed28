"""Detection as it was, one stream and one score at a time: what the arrays of `monitor.detection` are compared with."""
