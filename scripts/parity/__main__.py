import sys

from parity.run import main

sys.exit(main())
