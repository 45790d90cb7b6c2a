"""The work of each stage; `policy` lists the stages in order and is the only caller of most of this.

Receives an anomaly or a run and the state; returns verdicts, outcomes and deliveries. All but `deliver` and `circuit`
is pure: no clock, no I/O, no settings.
"""
