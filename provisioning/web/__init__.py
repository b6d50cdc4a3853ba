"""The pages: rendered on the server from what the API reads, changed by calling the API."""
