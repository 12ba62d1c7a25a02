"""The function in AWS Lambda: reads an event, migrates the database, and always returns a response.

Until an event is parsed, this package imports the standard library only. So an event that needs no database, such as the
deletion of a stack, gets its response without SQLAlchemy, and a failed import is still reported.
"""
