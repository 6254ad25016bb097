"""The `ruam` command: each step of the flow, in order, and one command for all of them.

A command is a function in one of the modules here, and a line below. What it needs beyond the console it imports
itself, so that `ruam --help` does not wait for a database engine.

Exit codes: 0 done · 1 unexpected · 2 wrong argument · 3 nothing could be accepted · 4 home, keys or reference not
ready · 5 build failed · 6 not published · 7 not all could be fetched, or sent · 8 Ruam itself failed on
some · 9 linkage was refused · 74 disk full or failing · 75 busy, try again.
