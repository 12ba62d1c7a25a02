"""Contain the programs: the command line, the AWS Lambda function, the private server, the commands for tenants."""
