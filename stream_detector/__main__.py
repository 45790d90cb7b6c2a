"""`python -m stream_detector` is the program `stream-detector`."""

from stream_detector.cli import run

if __name__ == "__main__":
    run()
