"""The grammar of shells: from text to a tree of commands and words. It expands nothing and judges nothing."""
