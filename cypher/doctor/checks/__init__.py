"""The checks, by what they look at. `examination` says what makes a function one."""
