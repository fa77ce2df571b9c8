"""Starts LocalStack on 127.0.0.1 only: its own listener takes the port of GATEWAY_LISTEN and leaves out the host."""

import runpy

from twisted.internet import endpoints

listen = endpoints.TCP4ServerEndpoint
endpoints.TCP4ServerEndpoint = lambda reactor, port: listen(reactor, port, interface="127.0.0.1")
runpy.run_module("localstack.runtime.main", run_name="__main__")
