"""The shape of our own network's results: known without torch."""

FORMAT = "iq-backbone-1"
KINDS = ("whole", "parts")
EMBEDDING = 96
