"""The production engine: the only part that sees the whole line from an input to a published product."""
