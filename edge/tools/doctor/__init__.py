"""What keeps this board from working, in one line a check: ``evenkeel doctor``. Looks only, changes nothing."""
