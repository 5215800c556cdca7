"""Herald in the foreground: a small inetd over the same unit files, with the terminal as the chat."""
