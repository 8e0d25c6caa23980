"""The server itself: accounts, installation, limits, interruption and metering."""
