"""What programs do with modules."""

import calling  # noqa: F401
import classes  # noqa: F401
import scenarios
import ways  # noqa: F401

if __name__ == "__main__":
    scenarios.main()
