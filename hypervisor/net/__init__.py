"""A guest's network: where the cable of each card leads, and the thread that moves frames along it.

``config``   what ``--net`` says
``stream``   a socket that carries frames as QEMU's ``-netdev stream`` does: to another guest, QEMU, or passt
``tap``      an interface of the host
``capture``  a file of what passed, for Wireshark and tcpdump
``pump``     the thread
"""
