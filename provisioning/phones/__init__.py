"""What a phone is told, and how its vendor writes it; pure, without database or network."""
