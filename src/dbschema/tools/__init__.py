"""What people run: the command line, the function in AWS Lambda, the private server, the commands for tenants."""
