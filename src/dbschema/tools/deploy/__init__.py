"""What the function in AWS Lambda does: an event in, a migration, an answer out, whatever happens.

Nothing here needs more than the standard library before an event is understood: an event that needs no database, such as the
deletion of a stack, is answered without one, and a failure to import the work can still be told.
"""
