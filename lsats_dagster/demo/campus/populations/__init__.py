"""What the sources hold: each population shows a part of the truth, and lives its days."""
