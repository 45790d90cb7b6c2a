"""Fixtures for every test, how many cases are tried, and two rules: CI skips nothing, no process is left behind."""

import signal

import tests.effort  # noqa: F401  # its profiles are there before the command line may name one

pytest_plugins = ["tests.fixtures", "tests.no_orphans", "tests.no_skips", "tests.workers"]

# Run in the background by a shell, or under nohup, we are started with these ignored, and so is all that tests start:
# what waits for the effect of Ctrl-C would wait for ever.
for number, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)
