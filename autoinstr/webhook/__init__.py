"""The admission webhook of Kubernetes: it adds the bundle to labelled pods.

Contents: `review.py` answers an AdmissionReview. `injection.py` decides about a pod, and
    `patch.py` has the operations of the patch. `manifest.py` reads fields of any type safely.
    `server.py` and `certificates.py` serve HTTPS; `__main__.py` is the program.
May import: `config`, `base`. Nothing imports it: it runs in an image of its own (deploy/helm).
Start with: `injection.py`.
"""
