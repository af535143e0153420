"""Spec expressions, such as `hdf5@1.14:+mpi %gcc ^mpich`: text in, values out."""
