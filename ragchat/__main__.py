"""`python -m ragchat` is the same as the `ragchat` command."""

from ragchat.cli import main

if __name__ == "__main__":
    main()
