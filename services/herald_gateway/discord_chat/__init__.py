"""Everything that knows Discord. Imported only when there is a token."""
