"""SIP as far as a NOTIFY needs it (RFC 3261): a request, the answers to it, and the ways they travel."""
