"""`python -m cryptowatcher` is `cryptowatcher`."""

from cryptowatcher.cli import main

if __name__ == "__main__":
    main()
