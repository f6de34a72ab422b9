"""What can be trained from a config file: each task in a file of its own, all of them in one union."""
