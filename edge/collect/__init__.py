"""The reference receiver: every alert of every device in a database, once each, and what is missing asked for."""
