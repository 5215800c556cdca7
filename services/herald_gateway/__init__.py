"""herald-gateway: the chat. Messages in, posts out."""
