"""The fault suite: runs of `embed` that are killed, starved, cut off and fed with damaged files.

``python -m torture`` (`make torture`) injects thousands of faults into a small training run whose
right result is known, and looks after each at what a user would be left with: every file the
previous one or the complete new one, a documented exit code, one line and no traceback, no process
left over, and a resumed run that ends with the very bytes of one that nothing happened to.

Then it shows that it would have noticed: it plants bugs in embed (`bugs.py`) and demands that each
is found by the kind of fault that is there to find it.

It is a program and not a set of tests: what it prints is trials and failures, the number of trials
is chosen, and most kinds need a process of their own to kill.
"""
