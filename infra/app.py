"""Where CDK starts: python3 app.py, or npx aws-cdk@2 with the commands of the README."""

import sys
from pathlib import Path

from dbschema_infra.application import build
from dbschema_infra.errors import InfraError

if __name__ == "__main__":
    try:
        build(Path(__file__).resolve().parent.parent).synth()
    except InfraError as error:
        sys.exit(str(error))
    except RuntimeError as error:
        if not str(error).startswith("ValidationFailed"):
            raise
        sys.exit(
            "Mend the findings above, or accept each with its reason: see dbschema_infra/acknowledge.py."
        )
