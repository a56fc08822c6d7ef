"""The command line: thin commands over the Gate, the ledger and the importers. It owns what is printed and exit codes, and decides nothing.

Nothing from outside reaches a terminal unescaped, and nothing that went wrong reaches it as a traceback.
"""
