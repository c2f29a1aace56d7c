"""The subcommands of `loregraph`, by subject; each file adds its own to `app`."""
