"""`loregraph simulate`: an OpenAI-compatible endpoint that answers offline, fails by script and counts its pay."""
