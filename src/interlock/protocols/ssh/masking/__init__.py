"""Masks in what a command prints, across chunk borders and between control sequences of a terminal."""
