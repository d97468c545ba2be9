"""`python -m sqlflow`."""

from sqlflow.cli.start import main

if __name__ == "__main__":
    main()
