"""Rules of IAM: authorization of calls, and checks of the template's roles."""
