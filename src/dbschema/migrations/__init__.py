"""Run revisions: find the scripts, plan the steps, and execute them under a lock."""
