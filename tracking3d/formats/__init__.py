"""Tables of detections and tracks as files: CSV, GEFF, Cell Tracking Challenge folders."""
