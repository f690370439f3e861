"""What people ask of whoever runs an installation: appeals, reports, takedowns and incidents, each with a clock."""
