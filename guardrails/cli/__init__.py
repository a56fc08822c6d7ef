"""The command line, thin: options in, one function of the layers below, a table or stable JSON out.

Owns words on the screen and exit codes. Decides nothing. Always true: a mistake is one or two lines and never a traceback.
"""
