"""What `spark-submit` runs: the `loregraph` command in the driver's process, so that its steps find the session.

    spark-submit --master ... infra/spark/driver.py night --run run.toml

Its exit code is that of `loregraph`.
"""

from pipelines.cli import main

if __name__ == "__main__":
    main()
