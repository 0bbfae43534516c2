"""The decision measured on simulated drives, beside other ways to decide. Nothing here is installed on a board."""
