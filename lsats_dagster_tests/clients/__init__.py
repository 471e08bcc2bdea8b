"""Tests of the clients against real sockets."""
