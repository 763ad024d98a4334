"""The entry point: ``python train.py {fit,validate,test,predict,search} --help``."""

import sys

from lightning_modules.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
