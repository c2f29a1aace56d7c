"""`python -m language_models.simulator` is `loregraph simulate`."""

from language_models.simulator.command import main

if __name__ == "__main__":
    main()
