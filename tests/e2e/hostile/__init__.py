"""A corpus of hostile HTTP: what clients send and targets answer to be read in two ways, or to get at what is masked.

The tables are data, written without a look at the code that they are for. Each entry says what must hold.
"""
