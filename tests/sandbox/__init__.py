"""Checks on a sandbox account what this project believes about AWS and has not seen there: docs/assumptions.md.

`python3 tests/sandbox` runs them. Each area has a module of checks; `fixture` makes the resources that they use, and `cleaning`
removes them again.
"""
