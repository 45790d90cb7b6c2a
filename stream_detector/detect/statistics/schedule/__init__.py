"""When a workflow usually starts, learned from its last starts; and which runs of it did not come.

A schedule is learned after ten runs, in one of four forms (`kind`):

INTERVAL  every so many minutes, within the hours of the week in which the workflow runs
DAILY     at one to eight times of the day, on the days of the week on which it runs
EVERY     every so many days, at one time of the day
MONTHLY   on one day of the month, or its last

It is used only while nearly all runs that it expects come, so a workflow without a schedule, such as most CI, never
has one for long. A run is due at its usual start, plus the larger of a tenth of the gap and 15 minutes, plus how long
after a start its event arrives (the duration and the delivery delay). A shift by an hour, as of a schedule in local
time when daylight saving begins or ends, is no miss; after three misses in a row the workflow is taken for retired.

`learned` holds what is known and how a state holds it, `learning` looks for a schedule, `following` keeps it up to
date with each run, `expected` names the next usual start and when it is due, `schedule` is what the detector calls.
"""
