"""ironic-inspector's own dnsmasq filter, driven as its conductor drives it, without the rest of ironic-inspector. For the
benchmark only.

usage: inspector.py CONFIG                 the first comparison, then one each period
       inspector.py CONFIG MAC...          these are under introspection from now on, as the running one will see
"""

import sys
import uuid

config, macs = sys.argv[1], sys.argv[2:]
del sys.argv[1:]

import eventlet

eventlet.monkey_patch()

from futurist import periodics
from oslo_config import cfg

from ironic_inspector.common import service_utils
from ironic_inspector.db import api as database
from ironic_inspector import introspection_state
from ironic_inspector import node_cache
from ironic_inspector.pxe_filter import base
from ironic_inspector import utils

service_utils.prepare_service(["--config-file", config])
database.init()
if macs:
    for mac in macs:
        node_cache.add_node(str(uuid.uuid4()), introspection_state.States.waiting, mac=[mac])
    sys.exit()
filter = base.driver()
filter.init_filter()
worker = periodics.PeriodicWorker(
    callables=[(filter.get_periodic_sync_task(), None, None)],
    executor_factory=periodics.ExistingExecutor(utils.executor()),
)
worker.start()
