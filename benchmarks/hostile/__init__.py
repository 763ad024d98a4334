"""Inputs that no command line should fall over, and what they are run with."""
