"""`python -m iqcli` is `iq`."""

from iqcli.cli.app import main

main()
