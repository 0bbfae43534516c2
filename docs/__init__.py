"""What makes the documentation: the site's hook, and the tutorials' player."""
