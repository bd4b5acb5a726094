"""Which unstated choices of a protocol a printed column is compatible with: trained, never guessed, never a verdict."""
