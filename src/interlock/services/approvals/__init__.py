"""Asking people: requests about exact operations, who may answer, and what an answer is good for.

digest       what a yes is bound to
people       who may answer whom: four eyes
steady_time  when requests and approvals end
board        the requests: asking, voting, expiring, spending; the only place that changes them
holding      one session's operations that wait
sampling     what of the changed rows a reviewer may see
rehearsals   running a held statement in a transaction that only its approval commits
view         a request as reviewers see it
room         the commands
"""
