"""Running revisions: the environment that `alembic/env.py` calls, where the scripts are, and the runs themselves."""
