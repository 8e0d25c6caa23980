"""Checks in a sandbox account what this project believes about AWS but has not seen: docs/assumptions.md.

`python3 tests/sandbox` runs them. Each area has a module of checks; `fixture` creates the resources that they need, and
`cleaning` removes them.
"""
