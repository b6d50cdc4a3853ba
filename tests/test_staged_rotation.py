"""A staged rotation: phones are told the next URL while the present one is in force, and Commit is the one cut."""
