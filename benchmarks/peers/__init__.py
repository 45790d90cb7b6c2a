"""The workers that do the reference job (`benchmarks.reference`), each the way its framework's own guide does it.

Each is a program: it reads its orders from the environment (`benchmarks.measure`), handles a known number of events,
commits, prints one JSON line and ends.
"""
