"""`python -m iqcli` is `iq`."""

from iqcli.cli import main

main()
