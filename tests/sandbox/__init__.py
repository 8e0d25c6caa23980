"""Checks on a sandbox account what this project believes about AWS and has not seen there: docs/assumptions.md.

`python3 tests/sandbox` runs them. Each area has a module of checks; `stage` makes what they stand on, and `cleaning` takes
it away again.
"""
