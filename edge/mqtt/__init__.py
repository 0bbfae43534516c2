"""The contract with the outside, and the connection that keeps it."""
