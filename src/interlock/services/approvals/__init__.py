"""Asking people: requests about exact operations, who may answer, and what an answer is good for.

digest       what a yes is bound to
people       who may answer whom: four eyes
board        the requests: asking, voting, expiring, spending; the only place that changes them
holding      one session's operations that wait
view         a request as reviewers see it
room         the commands
"""
