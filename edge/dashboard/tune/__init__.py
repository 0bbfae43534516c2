"""Behind the page *Tune*: recorded drives, the marks on them, and tuning as a process of its own."""
