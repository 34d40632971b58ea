"""What the steps did, told: explain, report, stats."""
