"""`python -m sqlflow`."""

from sqlflow.cli.app import main

if __name__ == "__main__":
    main()
