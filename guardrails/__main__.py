"""`python -m guardrails` is the `guardrails` program."""

from guardrails.cli.main import main

if __name__ == "__main__":
    main()
