"""The live page, its feed of server-sent events, and the REST interface."""
