"""Loaded by every Python that finds this folder in PYTHONPATH: makes decoding processes faulty.

The folder also stands in the path of the command under test, so what is changed is decided by what
is being run.
"""

import errno
import os
import sys

if "pipeline_lib.extraction.decode_child" in sys.orig_argv:
    from pipeline_lib.video.decoders import DECODERS

    DECODERS._targets["pyav"] = "faulty_decoder:open_faulty"
elif "FULL_AFTER" in os.environ:
    written = 0
    really = os.fsync

    def full_disk(descriptor):
        global written
        written += 1
        if written > int(os.environ["FULL_AFTER"]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(descriptor)

    os.fsync = full_disk
