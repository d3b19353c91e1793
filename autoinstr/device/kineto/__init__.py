"""Read the traces of torch.profiler: Kineto's JSON, from torch 1.8 to today, of any vendor.

Contents: `trace_file.py` reads the JSON in chunks, `values.py` the values of events,
    `collective_args.py` those of collectives, and `owner.py` the process. `loader.py` fills a
    ProfileStore.
May import: `device/profile_store.py`, `device/work/`, `base`.
Start with: `loader.py`.
"""
